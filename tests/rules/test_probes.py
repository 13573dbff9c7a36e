"""What the probes found, against the tolerances that the baseline sets."""

from __future__ import annotations

import pytest

from autoresearch.rules import probes
from autoresearch.rules.probes import BLIND_ERRORS, FACTOR, FLOOR_NATS, WORST_NATS

BASELINE = {
    "bpb": 1.7,
    "replay": 0.0,
    "rows": 0.0,
    "twin": 0.0,
    "gap": 0.03,
    "blind": 0.0,
    "blind_error": 0.01,
}
HONEST = {"replay": 0.0, "rows": 0.0, "twin": 0.0, "gap": 0.03, "blind": 0.0, "blind_error": 0.01}


def test_an_honest_model_passes_and_a_baseline_too() -> None:
    assert probes.failed_probe(HONEST, 1.6, BASELINE) is None
    assert probes.failed_probe(HONEST, 1.7, None) is None


@pytest.mark.parametrize("probe", ["replay", "rows", "twin"])
def test_each_probe_alone_condemns(probe: str) -> None:
    moved = {**HONEST, probe: 2 * FLOOR_NATS}
    why = probes.failed_probe(moved, 1.6, BASELINE)
    assert why.startswith(f"probe {probe}: ") and f"{2 * FLOOR_NATS:.2g} nats" in why
    assert probes.failed_probe({**HONEST, probe: FLOOR_NATS / 2}, 1.6, BASELINE) is None


@pytest.mark.parametrize("probe", ["replay", "rows", "twin"])
def test_the_baseline_widens_a_tolerance(probe: str) -> None:
    noisy = {**BASELINE, probe: FLOOR_NATS}
    assert probes.failed_probe({**HONEST, probe: 0.9 * FACTOR * FLOOR_NATS}, 1.6, noisy) is None
    assert probes.failed_probe({**HONEST, probe: 1.1 * FACTOR * FLOOR_NATS}, 1.6, noisy) is not None


def test_a_baseline_is_held_to_a_limit_of_its_own() -> None:
    assert probes.failed_probe({**HONEST, "twin": WORST_NATS / 2}, 1.7, None) is None
    assert "looks ahead" in probes.failed_probe({**HONEST, "twin": 2 * WORST_NATS}, 1.7, None)


def test_not_a_number_is_a_failure() -> None:
    assert probes.failed_probe({**HONEST, "rows": float("nan")}, 1.6, BASELINE) is not None
    assert probes.failed_probe({**HONEST, "gap": float("nan")}, 1.6, BASELINE) is not None


def test_what_is_gained_on_validation_alone_is_no_gain() -> None:
    stolen = {**HONEST, "gap": 0.5}
    why = probes.failed_probe(stolen, 1.2, BASELINE)
    assert why.startswith("probe vault: ")
    assert "0.5" not in why, "nobody learns what the vault gave"
    assert probes.failed_probe({**HONEST, "gap": -0.5}, 1.6, BASELINE) is None, (
        "the other way is fair"
    )


def test_what_is_predicted_worse_blind_is_a_look_ahead() -> None:
    error = HONEST["blind_error"]
    well = {**HONEST, "blind": 0.9 * BLIND_ERRORS * error}
    assert probes.failed_probe(well, 1.6, BASELINE) is None
    assert probes.failed_probe({**HONEST, "blind": -1.0}, 1.6, BASELINE) is None, "the other way"
    for found in (BLIND_ERRORS * error + 2 * FLOOR_NATS, float("nan")):
        why = probes.failed_probe({**HONEST, "blind": found}, 1.6, BASELINE)
        assert why is not None and why.startswith("probe blind: ")
    noisy = {**BASELINE, "twin": 2e-3}  # what the device itself moves is no look ahead
    within = {**HONEST, "blind": BLIND_ERRORS * error + 0.9 * FACTOR * 2e-3}
    assert probes.failed_probe(within, 1.6, noisy) is None
    unsure = {**HONEST, "blind_error": float("nan")}
    assert probes.failed_probe(unsure, 1.6, BASELINE) is not None
