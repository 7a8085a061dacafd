"""Other labels for the forgotten examples."""
