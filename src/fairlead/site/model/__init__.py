"""The page of a model: what it is, whether it works, what it costs, and how to call it."""
