"""Which deployment serves a call: the plan (pure) and the health it looks at."""
