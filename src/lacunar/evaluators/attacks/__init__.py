"""What an attacker gets out of the model."""
