"""Which weights live."""
