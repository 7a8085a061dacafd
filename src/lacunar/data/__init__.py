"""Rows with ids, and where they come from."""
