"""What it took."""
