"""Further training on the retained examples."""
