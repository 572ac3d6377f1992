"""People who sign in to the console: their organisations and roles, passwords, sessions and one-time links."""
