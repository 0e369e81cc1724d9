"""What must stay secret - keys, tokens, addresses that carry one - and where it is kept."""
