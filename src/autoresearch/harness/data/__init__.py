"""Text into rows of tokens, once, before any trial."""
