"""What a run found: figures, a table, a picture."""
