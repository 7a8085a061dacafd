"""Climbing the loss of the forgotten examples."""
