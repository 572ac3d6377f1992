"""Use-cases of management, one transaction each: for the command line, the API and the console alike."""
