"""From a problem, through a method, to an outcome."""
