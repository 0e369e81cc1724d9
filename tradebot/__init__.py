"""A trading daemon: backtest, paper and live on one line of code."""

__version__ = "0.1.0"
