"""How fast and how large: ``python -m benchmarks [name ...]`` prints a table. See ``__main__``."""
