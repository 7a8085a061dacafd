"""Whether corrections have arrived."""
