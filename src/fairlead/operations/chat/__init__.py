"""Chat: what the middle asks of its payload, emulation, and streams that continue elsewhere."""
