"""The management API: what the command line can do, over HTTP, with keys of its own kind."""
