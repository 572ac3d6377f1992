"""JSON schemas of callers: checked, and answers against them, in processes that can be killed."""
