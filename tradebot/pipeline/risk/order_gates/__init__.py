"""The rules that an order must pass, a module each: the last look at it, behind the decision and before the venue."""
