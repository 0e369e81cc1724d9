"""What may be done, how much of it, and what we then hold."""
