"""How an operator speaks: HTTP over a Unix socket."""
