"""One or a few computed steps, without a training loop."""
