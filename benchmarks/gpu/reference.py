"""Ours beside the policy of the reference (karpathy/autoresearch, train.py and prepare.py), written
anew: the whole model compiled with its loss over all logits at once, two synchronisations and one
`item` a step, one pinned buffer, and rows packed while it trains."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from autoresearch.harness.loader import Data, open_data
from autoresearch.harness.trial.accelerator import synchronise

from .setup import Setup, head, row, say
from .steps import Ours, block_ms, choose_quietly

Pair = tuple[Tensor, Tensor]


class WholeLoss(nn.Module):
    """Tokens and targets (B, T) to the mean loss, by float32 logits of all of them."""

    def __init__(self, model: Any, softcapped: Any) -> None:
        super().__init__()
        self.model, self.softcapped = model, softcapped

    def forward(self, tokens: Tensor, targets: Tensor) -> Tensor:
        logits = self.softcapped(self.model.stream(tokens), self.model.head.weight)
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten())


class Staged:
    """Batches of the host through one pinned buffer into one of the device."""

    def __init__(self, setup: Setup, source: Iterator[Pair]) -> None:
        self.source = source
        shape = (2, setup.rows, setup.length)
        self.here = torch.empty(shape, dtype=torch.int64, pin_memory=setup.cuda)
        self.there = torch.empty(shape, dtype=torch.int64, device=setup.device)

    def next(self) -> Pair:
        x, y = next(self.source)
        self.here[0].copy_(x)
        self.here[1].copy_(y)
        self.there.copy_(self.here, non_blocking=True)
        return self.there[0], self.there[1]


class Reference:
    """Its loop, step by step, around a model and optimisers that are the same as ours."""

    def __init__(self, setup: Setup, source: Iterator[Pair]) -> None:
        self.device, self.train = setup.device, setup.train
        self.passes = self.train.passes_per_step(setup.length)
        model, self.optimisers = setup.model(choose_quietly(setup))
        whole = WholeLoss(model, self.train.softcapped)
        self.loss = torch.compile(whole, dynamic=False, backend=setup.backend)
        self.staged = Staged(setup, source)
        self.batch = self.staged.next()
        self.steps = 0

    def step(self) -> None:
        synchronise(self.device)
        for _ in range(self.passes):
            loss = self.loss(*self.batch)
            (loss / self.passes).backward()
            self.batch = self.staged.next()
        self.train.set_rates(self.optimisers, 0.0, self.steps)
        for optimiser in self.optimisers:
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        loss.item()
        synchronise(self.device)
        self.steps += 1


def reference(setup: Setup) -> None:
    """Both, with half the rows, and half again, where memory runs out."""
    while True:
        try:
            beside(setup)
            return
        except torch.OutOfMemoryError:
            if setup.rows == 1:
                raise
        say(f"\nOut of memory with {setup.rows} rows of a forward pass; half of them now.\n")
        setup.shrink()
        setup.train.DEVICE_BATCH = setup.rows
        torch._dynamo.reset()
        setup.free()


def beside(setup: Setup) -> None:
    """Tokens per second of both, in blocks of steps by turns."""
    data = open_data()
    source, words = packed_rows(setup, data)
    say(f"{setup.rows} rows of a forward pass; the reference's: {words}.")
    setup.compile_rest()
    theirs = Reference(setup, source)
    block_ms(setup, theirs.step, 2)
    their_peak = setup.peak_mb(theirs.step)
    ours = Ours(setup, data)
    block_ms(setup, ours.step, 2)
    our_peak = setup.peak_mb(ours.step)
    steps, blocks = (2, 2) if setup.small else (8, 4)
    rates: dict[str, list[float]] = {"ours": [], "reference": []}
    head("block", "ours, tokens/s", "reference, tokens/s", "ratio")
    for block in range(blocks):
        for name, step in (("ours", ours.step), ("reference", theirs.step)):
            took_ms = block_ms(setup, step, steps)
            rates[name].append(1000 * setup.train.TOTAL_BATCH / took_ms)
        mine, other = (found[-1] for found in rates.values())
        row(block + 1, f"{mine:,.0f}", f"{other:,.0f}", f"{mine / other:.3f}")
    mine, other = (statistics.median(found) for found in rates.values())
    row("median", f"{mine:,.0f}", f"{other:,.0f}", f"{mine / other:.3f} (aim: 1.15)")
    row("MB of a step beyond weights and states", our_peak, their_peak, "")


def packed_rows(setup: Setup, data: Data) -> tuple[Iterator[Pair], str]:
    """Rows packed on the fly, by the benchmark of the loader; else the same random tokens always."""
    try:
        import tiktoken

        from autoresearch.harness.data.tokenizer import BOS, PATTERN, Tokenizer
        from benchmarks import loader
    except ImportError as fault:
        shape = (setup.rows, setup.length)
        same = torch.randint(setup.vocab_size, shape), torch.randint(setup.vocab_size, shape)
        return itertools.repeat(same), f"random tokens, since {fault}"
    loader.B, loader.T = setup.rows, setup.length
    loader.DOCUMENTS = 1500 if setup.small else loader.DOCUMENTS
    tokenizer = Tokenizer.load(data.folder / "tokenizer.json")
    ranks = {piece: rank for rank, piece in enumerate(tokenizer.ranks)}
    encoding = tiktoken.Encoding(
        "reference", pat_str=PATTERN, mergeable_ranks=ranks, special_tokens={BOS: tokenizer.bos}
    )
    texts = loader.documents(loader.text_of_the_library(), tokenizer)
    return loader.on_the_fly(texts, encoding, tokenizer.bos), "packed on the fly"
