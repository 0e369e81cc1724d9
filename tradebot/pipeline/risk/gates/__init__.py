"""The rules that an entry must pass, a module each; ``sequence`` lists them in the order in which they are asked."""
