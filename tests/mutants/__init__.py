"""Safeguards, each with the tests that must miss it."""

from __future__ import annotations

from tests.mutants import exam, gates, jail, storage, trials

MUTANTS = [*storage.MUTANTS, *trials.MUTANTS, *jail.MUTANTS, *exam.MUTANTS, *gates.MUTANTS]
