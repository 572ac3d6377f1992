"""Prices: rates by token class, and the immutable sheets that every charge refers to."""

from __future__ import annotations

from fairlead.prices.schedule import Schedule, Tier
from fairlead.prices.sheet import FREE, PriceSheet, amounts, rates_from

__all__ = ["FREE", "PriceSheet", "Schedule", "Tier", "amounts", "rates_from"]
