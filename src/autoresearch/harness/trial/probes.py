"""Probes of a trained model: does it obey the rules under which bits per byte mean anything?

Each asks the model about a batch of one shape and compares two answers:
    repeatability  the same batch twice
    rows           the same rows at other places and among other rows
    causality      the same batch with other tokens after a cut, another cut in each row; logits
                   before the cut must stay
They find honest mistakes: a mask that is off by one, batch statistics, a cache or a counter that
outlives the call, dropout left on. Script and harness share a process, so they find no cheat; for
that there are an examiner's workers (checking.py).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch

Tokens = npt.NDArray[np.int64]  # [B, T]
Ask = Callable[[Tokens], torch.Tensor]  # tokens -> logits [B, T, V]

# How far a logit may move, in shares of the largest logit. The shape of every batch is the same, so
# an honest model does the same sums: on a CPU, attention of three kinds, token-choice experts and
# dropout that is off moved by exactly nothing, in fp32 and under bf16 autocast. The room is for
# kernels that depend on how many tokens an expert gets, or that add in no fixed order: fp32 then
# differs by some 1e-6; bf16 rounds by 2^-9, 0.2 per cent, of which about ten may add up.
FP32_TOLERANCE, BF16_TOLERANCE = 1e-4, 2e-2
# Share of the positions that may move further. A router of experts that nearly ties may choose
# otherwise after a rounding, here and there; a broken rule moves all positions, or, if the model
# sees but one token ahead, that before the cut in every row.
MAY_MOVE = 1 / 8


class EvaluationError(Exception):
    """The model gave something that cannot be scored."""


def probe(ask: Ask, tokens: Tokens, vocab_size: int, tolerance: float) -> None:
    """Raises EvaluationError where a model breaks a rule, with the probe, the place and by how much."""
    rng = np.random.default_rng(0)
    rows, length = tokens.shape
    base = ask(tokens).clone()  # where CUDA graphs run, the next answer overwrites this one
    same = [(row, row) for row in range(rows)]
    # In this order: rows that mix would look as if the model looked ahead, in another row.
    _compare("repeatability", base, ask(tokens), same, [length] * rows, tolerance)
    # Half of the rows, each one place further on, among rows of a single token: batch statistics
    # then differ as much as they can.
    moves = [((row + 1) % rows, row) for row in rng.permutation(rows)[: (rows + 1) // 2].tolist()]
    company = np.full_like(tokens, tokens[0, -1])
    for place, row in moves:
        company[place] = tokens[row]
    _compare("rows", base, ask(company), moves, [length] * len(moves), tolerance)
    if length > 1:
        cuts = rng.integers(1, length, size=(rows,))
        # Never the token that was there.
        foreign = (tokens + rng.integers(1, vocab_size, size=tokens.shape)) % vocab_size
        changed = np.where(np.arange(length) < cuts[:, None], tokens, foreign)
        _compare("causality", base, ask(changed), same, cuts.tolist(), tolerance)


def _compare(
    name: str,
    base: torch.Tensor,
    answer: torch.Tensor,
    pairs: list[tuple[int, int]],
    cuts: list[int],
    tolerance: float,
) -> None:
    """Raises EvaluationError where `answer` moved from `base`.

    Of each pair (a, b) row a of `answer` must be row b of `base` at the positions before its cut.
    """
    length = base.size(1)
    largest = max(float(base.max()), -float(base.min())) or 1.0
    moved = np.full((len(pairs), length), -1.0)
    for (place, row), cut, change in zip(pairs, cuts, moved, strict=True):
        apart = (answer[place, :cut].float() - base[row, :cut].float()).abs().amax(dim=1)
        change[:cut] = apart.cpu().numpy() / largest
    beyond = ~(moved <= tolerance)  # nan is beyond
    last = beyond[np.arange(len(pairs)), np.array(cuts) - 1]
    if beyond.sum() <= MAY_MOVE * sum(cuts) and last.mean() <= MAY_MOVE:
        return
    pair, position = divmod(int(np.argmax(np.nan_to_num(moved, nan=np.inf))), length)
    raise EvaluationError(
        f"probe {name}: {BROKEN[name]}. Row {pairs[pair][1]}, position {position} moved by "
        f"{moved[pair, position]:.2g} of the largest logit (tolerance {tolerance:g}); "
        f"{int(beyond.sum())} of {sum(cuts)} positions moved too far"
    )


BROKEN = {
    "repeatability": "the same tokens gave other logits when asked again (a state that outlives the "
    "call, or dropout in training mode)",
    "causality": "logits changed with tokens that come after them (the model looks ahead)",
    "rows": "a row's logits changed with the rows beside it or its place in the batch (batch "
    "statistics, or a state for each place)",
}
