"""What a plug-in is, how it is found and how it is described."""
