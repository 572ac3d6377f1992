"""The data plane's routes: who calls what, and how an error looks in the caller's dialect."""
