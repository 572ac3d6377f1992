"""The database: connections and migrations. SQLite for now."""

from fairlead.store.database import Store, open_store

__all__ = ["Store", "open_store"]
