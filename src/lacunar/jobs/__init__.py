"""What the command line asks for: read the words, check, do, save, tell."""
