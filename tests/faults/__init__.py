"""Fault injection: shim.c counts and hits, driver.py runs a lab under it."""

KILL, FULL = 1, 2
SIZE = 16384  # of the state that driver and library share, in bytes
