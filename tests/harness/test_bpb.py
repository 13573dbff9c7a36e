"""The measure against values computed by hand, and the summary that reports it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from autoresearch.harness import bpb  # noqa: E402
from autoresearch.harness.bpb import EvaluationError, evaluate, print_summary  # noqa: E402
from autoresearch.harness.clock import Clock  # noqa: E402
from autoresearch.harness.loader import Batches, Data  # noqa: E402
from autoresearch.harness.trial.accelerator import (  # noqa: E402
    device_line,
    mfu_percent,
    peak_memory_mb,
)
from tests.handmade import small_data  # noqa: E402

CPU = torch.device("cpu")
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


def many_rows() -> Data:
    return small_data(np.random.default_rng(0).integers(0, 4, size=(37, 6)), [1, 2, 5, 0], bos=3)


def test_bits_per_byte_of_a_uniform_model_is_the_hand_computed_value() -> None:
    # Four targets are no BOS (0, 1, 2, 1), of 1 + 2 + 5 + 2 = 10 bytes, at ln 4 nats each.
    score = evaluate(Fixed(torch.zeros(4, 4)), HAND, CPU)
    assert score.bytes == 10 and score.rows == 2
    assert score.nats == pytest.approx(4 * math.log(4))
    assert score.bpb == pytest.approx(8 / 10)
    assert score.seconds > 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_logits_are_normalised_by_the_harness_and_bos_targets_cost_nothing(
    dtype: torch.dtype,
) -> None:
    table = torch.tensor([[1.0, 2, 0, 9], [0, 1, 1, 9], [3, 0, 0, 9], [2, 0, 1, 9]])
    shifted = table + torch.tensor([[5.0], [-3.0], [100.0], [0.0]])
    pairs = [(3, 0), (0, 1), (0, 2), (3, 1)]  # (input, target), BOS targets left out
    nats = sum(
        math.log(sum(math.exp(float(v)) for v in table[x])) - float(table[x, y]) for x, y in pairs
    )
    expected = nats / (math.log(2) * 10)
    # These whole numbers are exact in 8 bits too: what is lost would be lost by the harness.
    assert evaluate(Fixed(table.to(dtype)), HAND, CPU).bpb == pytest.approx(expected, rel=1e-6)
    assert evaluate(Fixed(shifted.to(dtype)), HAND, CPU).bpb == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("batch_rows", [1, 2, 5, 36, 37, 100])
def test_the_score_does_not_depend_on_the_batch_size(batch_rows: int) -> None:
    data, model = many_rows(), Fixed(torch.randn(4, 4, generator=torch.Generator().manual_seed(1)))
    whole = evaluate(model, data, CPU)
    model.sizes.clear()
    score = evaluate(model, data, CPU, batch_rows)
    assert score.bpb == pytest.approx(whole.bpb, rel=1e-12)
    assert (score.rows, score.bytes) == (37, data.val_bytes)
    # One shape, whatever is left for the last batch; four more batches are the probes'.
    assert model.sizes == [batch_rows] * (math.ceil(37 / batch_rows) + 4)


def test_the_softmax_is_taken_in_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    data, model = many_rows(), Fixed(torch.randn(4, 4, generator=torch.Generator().manual_seed(1)))
    whole = evaluate(model, data, CPU)
    seen: list[int] = []
    logsumexp = torch.logsumexp

    def watched(part: torch.Tensor, dim: int) -> torch.Tensor:
        seen.append(part.numel() * 4)
        return logsumexp(part, dim=dim)

    monkeypatch.setattr(torch, "logsumexp", watched)
    monkeypatch.setattr(bpb, "CPU_SLICE", 50)  # three positions of four logits
    assert evaluate(model, data, CPU).bpb == pytest.approx(whole.bpb, rel=1e-12)
    assert max(seen) == 48 and sum(seen) == 37 * 5 * 4 * 4


def test_running_out_of_memory_halves_the_batch_and_not_the_rows() -> None:
    class Small(Fixed):
        def __call__(self, tokens: torch.Tensor) -> torch.Tensor:
            if len(tokens) > 4:
                raise torch.OutOfMemoryError("too large")
            return super().__call__(tokens)

    data, model = many_rows(), Small(torch.zeros(4, 4))
    score = evaluate(model, data, CPU, batch_rows=16)
    assert model.sizes == [4] * (10 + 4)
    assert score == evaluate(Fixed(torch.zeros(4, 4)), data, CPU)


def test_memory_that_runs_out_in_the_probes_alone_halves_their_batch() -> None:
    class Small(Fixed):
        def __call__(self, tokens: torch.Tensor) -> torch.Tensor:
            if len(self.sizes) > 3 and len(tokens) > 8:  # once all rows are scored
                raise torch.OutOfMemoryError("too large")
            return super().__call__(tokens)

    model = Small(torch.zeros(4, 4))
    assert evaluate(model, many_rows(), CPU, batch_rows=16).rows == 37
    assert model.sizes == [16] * 4 + [8] * 4
    with pytest.raises(torch.OutOfMemoryError, match="single row"):
        evaluate(Raising(), many_rows(), CPU)


class Raising:
    def __call__(self, tokens: torch.Tensor) -> torch.Tensor:
        raise torch.OutOfMemoryError("too large")


def test_the_model_gets_no_storage_that_holds_the_targets() -> None:
    def model(tokens: torch.Tensor) -> torch.Tensor:
        assert tokens.untyped_storage().nbytes() == tokens.numel() * 8
        tokens.zero_()  # and what it does to its input is its own affair
        return torch.zeros(*tokens.shape, 4)

    assert evaluate(model, HAND, CPU).bpb == pytest.approx(0.8)


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


def test_bytes_that_do_not_add_up_are_refused() -> None:
    with pytest.raises(EvaluationError, match="2 rows and 10 bytes, not 2 and 11"):
        evaluate(Fixed(torch.zeros(4, 4)), replace(HAND, val_bytes=11), CPU)


@pytest.mark.gpu
def test_a_gpu_gives_the_score_of_the_cpu() -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    cuda = torch.device("cuda")
    table = torch.randn(4, 4, generator=torch.Generator().manual_seed(1))
    here = evaluate(Fixed(table), many_rows(), CPU)
    there = evaluate(Fixed(table.to(cuda)), many_rows(), cuda)
    assert there.bpb == pytest.approx(here.bpb, rel=1e-6)
    assert peak_memory_mb(cuda) > 0 and ", " in device_line(cuda)


def test_there_is_no_mfu_on_a_cpu() -> None:
    assert mfu_percent(1e12, CPU) == "n/a"


def test_the_summary_has_each_key_once(
    capsys: pytest.CaptureFixture[str], limited: Callable[[str], Clock]
) -> None:
    clock = limited("5steps")
    batches = Batches(many_rows(), 2, CPU, 1, clock)
    for _ in range(3):  # and no more, though the budget would allow it
        batches.next()
        clock.step()
    score = evaluate(Fixed(torch.zeros(4, 4)), HAND, CPU)
    print_summary(score, clock, HAND, CPU, params=290_000, depth=2, flops_per_token=1.0)
    first, *lines = capsys.readouterr().out.splitlines()
    keys = [line.split(":")[0] for line in lines]
    assert first == "---"
    assert keys == [
        *("val_bpb", "training_seconds", "total_seconds", "startup_seconds", "exam_seconds"),
        *("peak_vram_mb", "mfu_percent", "total_tokens_M", "num_steps", "num_params_M"),
        *("depth", "fingerprint", "device"),
    ]
    values = {line.split(":")[0]: line.split(":", 1)[1].strip() for line in lines}
    assert values["val_bpb"] == "0.800000" and values["mfu_percent"] == "n/a"
    assert values["num_steps"] == "3" and values["total_tokens_M"] == "0.00"
    assert values["num_params_M"] == "0.29" and float(values["peak_vram_mb"]) > 10
    assert values["device"].startswith(f"cpu, {torch.get_num_threads()} thread")
    total_s, startup_s = float(values["total_seconds"]), float(values["startup_seconds"])
    assert total_s >= startup_s + float(values["training_seconds"]) - 0.2  # each is rounded
    spent = clock.training_seconds
    assert clock.training_seconds == spent  # it ended with the last step


@pytest.fixture
def limited(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Clock]:
    def clock_of(budget: str) -> Clock:
        monkeypatch.setenv("AUTORESEARCH_BUDGET", budget)
        return Clock(CPU)

    return clock_of
