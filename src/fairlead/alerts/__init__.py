"""Delivers alerts from the outbox: webhooks and e-mail."""
