"""The order of a verification: what is asked when, and what is forgotten between."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from autoresearch.ratchet import verification
from autoresearch.records import Crash, Metrics

FOUND = {
    "foreign": {"void": None, "positions": 4},
    "true": {
        "void": None, "replay": 0.0, "rows": 0.0, "gap": 0.0, "twin": 0.0, "blind": 0.0,
        "blind_error": 0.01,
    },
}  # fmt: skip


class Trials:
    """Writes down what it is asked for."""

    def __init__(self, void: str | None = None) -> None:
        self.done: list[str] = []
        self._void = void

    def try_out(self, candidate: object, role: str, full: bool) -> Any:
        self.done.append(role)
        void = {"reason": "gone"} if role == self._void else None
        return SimpleNamespace(outcome=None, log=None, score={**FOUND[role], "void": void})

    def forget_files(self) -> None:
        self.done.append("files")

    def forget_exam(self) -> None:
        self.done.append("exam")

    def keep_control(self) -> None:
        self.done.append("control")


@pytest.fixture(autouse=True)
def no_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verification.metrics, "crash_of", lambda *_: None)
    monkeypatch.setattr(Trials, "run", SimpleNamespace(config=SimpleNamespace(
        task=SimpleNamespace(timeout_s=1.0)
    )), raising=False)  # fmt: skip


def verified(trials: Trials, calibration: dict[str, float] | None) -> Metrics | Crash:
    examined = Metrics(value=1.5, memory_mb=None, summary={})
    return verification.verified(trials, object(), examined, calibration, full=False)


def test_the_order_of_a_verification() -> None:
    """Foreign ends before true ones, and nothing that was read in memory before, between and after."""
    trials = Trials()
    found = verified(trials, {"bpb": 1.6, "replay": 0, "rows": 0, "twin": 0, "gap": 0})
    assert isinstance(found, Metrics) and found.evidence == "verified"
    assert trials.done == ["files", "foreign", "files", "true", "exam", "files"]


def test_a_baseline_leaves_its_losses_on_the_vault() -> None:
    trials = Trials()
    assert isinstance(verified(trials, None), Metrics)
    assert trials.done[-1] == "control"


@pytest.mark.parametrize("role", ["foreign", "true"])
def test_a_worker_that_fails_ends_it(role: str) -> None:
    trials = Trials(role)
    found = verified(trials, None)
    assert isinstance(found, Crash) and "gone" in found.reason
    assert trials.done[-2:] == ["exam", "files"] and "control" not in trials.done
