"""A venue in this process: one matching engine for backtest, paper and devnet."""
