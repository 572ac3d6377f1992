"""The database: connections and migrations; SQLite or PostgreSQL."""

from fairlead.store.database import Store, open_store, reason

__all__ = ["Store", "open_store", "reason"]
