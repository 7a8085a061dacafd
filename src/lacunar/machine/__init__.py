"""What this computer is and what a job used of it."""
