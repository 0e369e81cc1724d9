"""A real venue under the line: its market as a feed, its account as inputs, our orders on their way out."""
