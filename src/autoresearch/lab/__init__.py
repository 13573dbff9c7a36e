"""A lab, and a run in it."""
