"""Hyperliquid, spoken natively: signing, translation, transport, and orders that exist at most once."""
