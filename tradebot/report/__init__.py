"""What we say about it: pure functions from records to figures and text."""
