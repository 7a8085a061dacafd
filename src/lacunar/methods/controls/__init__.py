"""What every comparison carries: nothing done, trained again, fresh weights."""
