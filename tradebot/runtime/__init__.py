"""Who runs it: all asyncio is here and in the edges."""
