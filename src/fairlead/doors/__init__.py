"""Caller dialects: how callers ask, and how they are answered. One folder each, and one row in `table.py`."""
