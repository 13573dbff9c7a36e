"""Wherever trials run."""
