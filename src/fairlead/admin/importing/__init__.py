"""Importers of other gateways' configurations and accounts: each writes a plan and a report, and applies nothing."""
