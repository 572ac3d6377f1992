"""The service put together: the only place that chooses concrete classes."""
