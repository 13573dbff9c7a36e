"""The measure against hand-made values; the loader's order; the budget; the summary."""

from __future__ import annotations

import math
import time
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from autoresearch.harness.bpb import EvaluationError, evaluate, print_summary  # noqa: E402
from autoresearch.harness.clock import Budget, Clock  # noqa: E402
from autoresearch.harness.loader import Batches, Data  # noqa: E402

CPU = torch.device("cpu")


def small_data(val: list[list[int]], token_bytes: list[int], bos: int) -> Data:
    rows = np.array(val, dtype=np.uint16)
    lengths = np.array(token_bytes, dtype=np.int64)
    return Data(
        folder=Path(),
        vocab_size=len(token_bytes),
        seq_len=rows.shape[1] - 1,
        bos=bos,
        fingerprint="0",
        train=rows,
        val=rows,
        val_bytes=int(lengths[rows[:, 1:]].sum()),
        token_bytes=lengths,
    )


# Tokens 0 to 2 are 1, 2 and 5 bytes long; 3 is BOS.
HAND = small_data([[3, 0, 1, 3], [0, 2, 3, 1]], [1, 2, 5, 0], bos=3)


class Fixed:
    """Logits that depend on the input token alone; remembers the batches that it saw."""

    def __init__(self, table: torch.Tensor) -> None:
        self.table = table
        self.sizes: list[int] = []

    def __call__(self, tokens: torch.Tensor) -> torch.Tensor:
        self.sizes.append(len(tokens))
        return self.table[tokens]


def test_bits_per_byte_of_a_uniform_model_is_the_hand_computed_value() -> None:
    # Four targets are no BOS (0, 1, 2, 1), of 1 + 2 + 5 + 2 = 10 bytes, at ln 4 nats each.
    score = evaluate(Fixed(torch.zeros(4, 4)), HAND, CPU)
    assert score.bytes == 10 and score.rows == 2
    assert score.nats == pytest.approx(4 * math.log(4))
    assert score.bpb == pytest.approx(8 / 10)


def test_logits_are_normalised_by_the_harness_and_bos_targets_cost_nothing() -> None:
    table = torch.tensor([[1.0, 2, 0, 9], [0, 1, 1, 9], [3, 0, 0, 9], [2, 0, 1, 9]])
    shifted = table + torch.tensor([[5.0], [-3.0], [100.0], [0.0]])
    pairs = [(3, 0), (0, 1), (0, 2), (3, 1)]  # (input, target), BOS targets left out
    nats = sum(
        math.log(sum(math.exp(float(v)) for v in table[x])) - float(table[x, y]) for x, y in pairs
    )
    expected = nats / (math.log(2) * 10)
    assert evaluate(Fixed(table), HAND, CPU).bpb == pytest.approx(expected, rel=1e-6)
    assert evaluate(Fixed(shifted), HAND, CPU).bpb == pytest.approx(expected, rel=1e-5)


def many_rows() -> Data:
    rows = np.random.default_rng(0).integers(0, 4, size=(37, 6))
    return small_data(rows.tolist(), [1, 2, 5, 0], bos=3)


@pytest.mark.parametrize("batch_rows", [1, 2, 5, 37, 1000])
def test_the_score_does_not_depend_on_the_batch_size(batch_rows: int) -> None:
    data, model = many_rows(), Fixed(torch.randn(4, 4, generator=torch.Generator().manual_seed(1)))
    whole = evaluate(model, data, CPU)
    score = evaluate(model, data, CPU, batch_rows)
    assert score.bpb == pytest.approx(whole.bpb, rel=1e-12)
    assert (score.rows, score.bytes) == (37, data.val_bytes)


def test_running_out_of_memory_halves_the_batch_and_not_the_rows() -> None:
    class Small(Fixed):
        def __call__(self, tokens: torch.Tensor) -> torch.Tensor:
            if len(tokens) > 4:
                raise torch.OutOfMemoryError("too large")
            return super().__call__(tokens)

    data, model = many_rows(), Small(torch.zeros(4, 4))
    score = evaluate(model, data, CPU, batch_rows=16)
    assert set(model.sizes) == {4, 1} and sum(model.sizes) == 37  # 37 = 9 * 4 + 1
    assert score == evaluate(Fixed(torch.zeros(4, 4)), data, CPU)


def test_the_model_gets_no_storage_that_holds_the_targets() -> None:
    def model(tokens: torch.Tensor) -> torch.Tensor:
        assert tokens.untyped_storage().nbytes() == tokens.numel() * 8
        return torch.zeros(*tokens.shape, 4)

    evaluate(model, HAND, CPU)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_logits_that_are_not_finite_are_refused(bad: float) -> None:
    table = torch.zeros(4, 4)
    table[0, 2] = bad
    with pytest.raises(EvaluationError, match="not all finite"):
        evaluate(Fixed(table), HAND, CPU)


def test_a_wrong_shape_is_refused_with_both_shapes() -> None:
    with pytest.raises(EvaluationError, match=r"\(2, 3, 4\), not \(2, 3, 5\)"):
        evaluate(Fixed(torch.zeros(4, 5)), HAND, CPU)
    with pytest.raises(EvaluationError, match="not float"):
        evaluate(lambda tokens: 0.1, HAND, CPU)  # type: ignore[arg-type, return-value]


def test_batches_come_by_index_in_the_order_of_the_seed() -> None:
    rows = np.arange(60, dtype=np.uint16).reshape(10, 6)
    data = small_data(rows.tolist(), [1] * 61, bos=60)
    batches, again = Batches(data, 4, CPU, seed=7), Batches(data, 4, CPU, seed=7)
    x, y = batches.batch(0)
    assert x.shape == y.shape == (4, 5) and x.dtype == torch.int64
    assert torch.equal(x + 1, y)
    later = [batches.batch(index)[0] for index in (2, 3, 0)]  # 2 spans two epochs
    assert torch.equal(later[2], x) and torch.equal(again.batch(3)[0], later[1])
    epoch = torch.cat([batches.batch(index)[0] for index in range(5)])[:, 0]
    assert sorted(epoch.tolist()) == sorted(2 * rows[:, 0].tolist())
    assert not torch.equal(Batches(data, 4, CPU, seed=8).batch(0)[0], x)


def test_budgets_are_seconds_steps_or_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Budget.parse("300s") == Budget(300, "s")
    assert Budget.parse("600steps") == Budget(600, "steps")
    for wrong in ("", "300", "0s", "-1s", "3 minutes", "1.5s"):
        with pytest.raises(ValueError, match="such as 300s"):
            Budget.parse(wrong)
    monkeypatch.delenv("AUTORESEARCH_BUDGET", raising=False)
    assert Budget.of_trial("cpu") == Budget(600 * 16 * 64, "tokens")
    assert Budget.of_trial("cuda") == Budget(300, "s")
    monkeypatch.setenv("AUTORESEARCH_BUDGET", "2steps")
    clock = Clock("cuda")
    clock.start()
    shares = [clock.progress()]
    while not clock.done():
        clock.step(1)
        shares.append(clock.progress())
    assert shares == [0.0, 0.5, 1.0]
    spent = clock.training_seconds
    assert clock.training_seconds == spent  # the clock stands still after training
    with pytest.raises(RuntimeError, match="twice"):
        clock.start()


def test_a_larger_batch_gets_no_more_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTORESEARCH_BUDGET", "64tokens")
    steps = []
    for batch in (8, 16):
        clock = Clock("cpu")
        clock.start()
        while not clock.done():
            clock.step(batch)
        steps.append(clock.steps)
    assert steps == [8, 4]


def test_a_budget_of_seconds_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTORESEARCH_BUDGET", "1s")
    clock = Clock("cpu")
    clock.start()
    began = time.monotonic()
    while not clock.done():
        time.sleep(0.05)
        clock.step(1)
    assert 0.9 < time.monotonic() - began < 5
    assert clock.progress() == 1.0


def test_the_summary_has_each_key_once(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTORESEARCH_BUDGET", "1steps")
    clock = Clock("cpu")
    clock.start()
    clock.step(2_000_000)
    score = evaluate(Fixed(torch.zeros(4, 4)), HAND, CPU)
    print_summary(score, clock, HAND, CPU, params=290_000, depth=2, flops_per_token=1.0)
    first, *lines = capsys.readouterr().out.splitlines()
    keys = [line.split(":")[0] for line in lines]
    assert first == "---"
    assert keys == [
        *("val_bpb", "training_seconds", "total_seconds", "peak_vram_mb", "mfu_percent"),
        *("total_tokens_M", "num_steps", "num_params_M", "depth", "fingerprint"),
    ]
    values = dict(zip(keys, (line.split()[1] for line in lines), strict=True))
    assert values["val_bpb"] == "0.800000" and values["mfu_percent"] == "n/a"
    assert values["total_tokens_M"] == "2.00" and float(values["peak_vram_mb"]) > 10
