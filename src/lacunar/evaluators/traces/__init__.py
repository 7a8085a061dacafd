"""What is left of the forgotten examples in one model."""
