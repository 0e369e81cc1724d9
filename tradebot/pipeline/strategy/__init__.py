"""Bars become signals."""
