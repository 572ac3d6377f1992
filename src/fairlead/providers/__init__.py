"""Upstream dialects: pure translators between our wire shapes and a provider's."""
