"""One call from its admission to its settlement: prepare, open, deliver, settle."""
