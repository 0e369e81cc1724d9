"""What happens to market events: pure, synchronous stages, in the order of their modules."""
