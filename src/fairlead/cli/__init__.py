"""The command line: each command is a few lines over a function elsewhere. Exit codes: 2 for a wrong setting or
argument, 1 for anything else that failed."""

from fairlead.cli.main import main

__all__ = ["main"]
