"""Where orders go and prices come from."""
