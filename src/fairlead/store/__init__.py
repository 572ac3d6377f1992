"""The database: connections and migrations; SQLite or PostgreSQL."""

from fairlead.store.database import Store, is_there, open_store, reason

__all__ = ["Store", "is_there", "open_store", "reason"]
