"""How one judges: an unlearned model beside retrained ones."""
