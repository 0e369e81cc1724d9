"""Approved signals become orders, and fills become known."""
