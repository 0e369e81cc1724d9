"""What the market did lately, and what it would mean for the book: plain arithmetic on floats, never money."""
