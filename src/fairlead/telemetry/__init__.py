"""How fast and how reliably deployments answer, measured from the calls that go through them."""
