"""The web pages, an ASGI app behind the same port as the data plane."""
