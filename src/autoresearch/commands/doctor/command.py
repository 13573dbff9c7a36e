"""`autoresearch doctor`: what this machine can do, and `--fit`: a profile written into the lab."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict

from rich.console import Console

from autoresearch.commands.doctor import checks, fit, render
from autoresearch.errors import LabError, UsageError
from autoresearch.lab.lab import Lab
from autoresearch.streams import say


def doctor(
    as_json: bool, write_profile: bool, profile: str | None, sets: Sequence[str] | None
) -> None:
    """Prints what was found, or writes the profile; raises UsageError for flags that don't go together."""
    if (profile is not None or sets) and not write_profile:
        raise UsageError("--profile and --set go with --fit")
    if as_json and write_profile:
        raise UsageError("--fit and --json: one of the two")
    try:
        lab = Lab.here()
    except LabError:
        lab = None
    if write_profile:
        fit.fit(lab, profile, sets or [], say)
    elif as_json:
        print(json.dumps([asdict(check) for check in checks(lab)], indent=2))
    else:
        render(checks(lab), Console())
