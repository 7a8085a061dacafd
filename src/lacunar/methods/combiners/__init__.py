"""Methods that hand over to another method."""
