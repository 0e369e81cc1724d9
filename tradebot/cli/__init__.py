"""Who asks: commands, tables, JSON, exit codes."""
