"""A local exchange that speaks Hyperliquid's wire protocol over the simulated venue."""
