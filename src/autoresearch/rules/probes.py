"""Whether a score is an honest one, by the probes before a keep. Pure.

The examiner takes the readings (harness/exam/checking.py); here they are compared with those of the
baseline on this machine. There are five probes:
    replay  a fresh process with the same weights gives the losses that were scored
    rows    a row's losses do not hang on the rows beside it
    twin    logits do not hang on tokens that come after them
    vault   what was gained on the validation rows was gained on rows that nobody has seen, too
    blind   the vault's tokens are predicted as well where no process could have been told of them
"""

from __future__ import annotations

from typing import Any

# Nats per token. On a CPU honest models move by exactly nothing; in bf16 kernels that add in no
# fixed order move them by some 1e-4. Each probe measures what the losses move by, so that a leak of
# this size gains no more than it: 1e-3 nats are 0.0005 bits per byte at 2.7 bytes per token.
FLOOR_NATS = 1e-3
FACTOR = 4.0  # over what the baseline showed
WORST_NATS = 2e-2  # of a baseline: beyond it the measure itself would be worth nothing
# Between honest variants of the template the gap grew by at most 0.009 bpb and a quarter of what was
# gained; training on the validation rows in 2 % of the batches opened it by 0.006 more than this
# allows, three passes over them by 0.27 (docs/performance.md).
GAP_FLOOR_BPB, GAP_SHARE = 0.015, 0.25  # of a bit per byte, and of the gain over the baseline
# Standard errors of the blind figure: an honest model is beyond them once in 30,000 verifications.
BLIND_ERRORS = 4.0
_PROBES = ("replay", "rows", "twin")

BROKEN = {
    "replay": "a fresh process with the same weights gave other losses than those that were scored: "
    "they hang on something outside the model's state, or on what it was asked before",
    "rows": "a row's losses changed with the rows beside it: rows mix",
    "twin": "logits changed with tokens that come after them: the model looks ahead",
    "vault": "what it gains on the validation rows it does not gain on rows that nobody has seen: it "
    "has seen the validation rows",
    "blind": "it predicts tokens worse that no process of it could have seen than those that follow in "
    "the rows that it is shown: it looks ahead, and its processes tell each other where not to",
}

Calibration = dict[str, Any]


def failed_probe(
    readings: dict[str, float], bpb: float, calibration: Calibration | None
) -> str | None:
    """Returns which probe failed, and why; None where all hold.

    `readings` are in nats per token, the gap in bits per byte; `calibration` holds the baseline's, and
    is None for the baseline itself.
    """
    for probe in _PROBES:
        allowed = _allowed(probe, calibration)
        if not readings[probe] <= allowed:
            return (
                f"probe {probe}: {BROKEN[probe]} ({readings[probe]:.2g} nats per token, "
                f"tolerance {allowed:.2g})"
            )
    if calibration is not None:
        gain = max(0.0, calibration["bpb"] - bpb)
        if not readings["gap"] - calibration["gap"] <= GAP_FLOOR_BPB + GAP_SHARE * gain:
            return f"probe vault: {BROKEN['vault']}"
    noise = _allowed("twin", calibration) + BLIND_ERRORS * readings["blind_error"]
    if not readings["blind"] <= noise:
        return f"probe blind: {BROKEN['blind']}"
    return None


def _allowed(probe: str, calibration: Calibration | None) -> float:
    """Returns by how many nats per token a reading may be off."""
    if calibration is None:
        return WORST_NATS
    return max(FLOOR_NATS, FACTOR * float(calibration[probe]))
