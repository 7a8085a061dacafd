"""Words that every room speaks: errors, named tensors, files, random numbers, statistics; nothing of unlearning."""
