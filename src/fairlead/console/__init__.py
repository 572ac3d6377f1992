"""The console: what people see after they have signed in, behind the same port as the API."""
