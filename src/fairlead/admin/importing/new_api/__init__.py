"""The database of new-api, or of one-api, from which it comes."""
