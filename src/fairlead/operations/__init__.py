"""What callers can ask for. Each operation is a module that knows its payload; the middle knows it by a `Demand`."""
