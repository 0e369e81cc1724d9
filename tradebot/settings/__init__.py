"""The configuration: its models, where it comes from, what must fit together, and what becomes of it."""
