"""How models are called and trained: one loop for the first training, retraining and every method."""
