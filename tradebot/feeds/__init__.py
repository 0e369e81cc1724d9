"""Where market messages come from when no venue sends them: recorded bars, made-up bars, and their pace."""
