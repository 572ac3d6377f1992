"""Hostile load on a real gateway: strangers, customers and providers at once, beside fifty honest callers.

`python -m tests.attacks.load --seconds 600`, from the root of the repository. Parts, each a process of its own: the
honest provider, the hostile provider, the gateway, the honest callers, the strangers, the hostile customers.
"""
