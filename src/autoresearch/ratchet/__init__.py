"""The ratchet: ask, guard, commit, trial, metrics, judge, record, settle."""
