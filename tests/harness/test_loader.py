"""The prepared rows: refused when damaged, handed out in a fixed order, never overwritten early."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from autoresearch.harness import cache as store  # noqa: E402
from autoresearch.harness import names  # noqa: E402
from autoresearch.harness.cache import HarnessError  # noqa: E402
from autoresearch.harness.clock import Clock  # noqa: E402
from autoresearch.harness.loader import Batches, open_data, trial_seed  # noqa: E402
from autoresearch.harness.trial.staging import Ring, widened  # noqa: E402
from tests.handmade import small_data, write_cache  # noqa: E402

CPU = torch.device("cpu")
# Ten rows of T = 5, each of six consecutive tokens; 60 is BOS.
ROWS = np.arange(60).reshape(10, 6)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_cache(tmp_path, ROWS, ROWS[:2], 61)


def batches_of(
    rows: int, seed: int = 7, device: torch.device = CPU, data: object = None
) -> Batches:
    made = data or small_data(ROWS, [1] * 60 + [0], bos=60)
    return Batches(made, rows, device, seed, Clock(device))


@pytest.fixture(autouse=True)
def no_cap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTORESEARCH_BUDGET", "1000000tokens")


def test_a_trial_reads_the_data_that_it_is_told(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder.parent / names.CURRENT).write_text("another\n")
    monkeypatch.setenv(names.DATA_VARIABLE, folder.name)
    assert open_data(folder.parent).folder == folder
    for wrong in ("../" + folder.name, "another", ".partial"):
        monkeypatch.setenv(names.DATA_VARIABLE, wrong)
        with pytest.raises(HarnessError, match="run: autoresearch prepare"):
            open_data(folder.parent)


def test_open_data_reads_what_the_manifest_says(folder: Path) -> None:
    data = open_data(folder.parent)
    assert (data.vocab_size, data.seq_len, data.bos, data.folder) == (61, 5, 60, folder)
    assert np.array_equal(data.train, ROWS) and np.array_equal(data.val, ROWS[:2])
    assert data.val_bytes == 10 and data.token_bytes.sum() == 60
    assert not data.train.flags.writeable and not data.val.flags.writeable
    manifest = store.read_manifest(folder)
    assert manifest is not None and data.fingerprint == manifest.fingerprint
    assert not (folder / names.VAULT).exists()  # and yet nothing was missed


@pytest.mark.parametrize("name", [names.TRAIN, names.VAL, names.TOKENIZER, names.TOKEN_BYTES])
@pytest.mark.parametrize("fault", ["missing", "short", "flipped", "a folder"])
def test_a_damaged_file_is_refused_by_name(folder: Path, name: str, fault: str) -> None:
    path = folder / name
    content = path.read_bytes()
    path.unlink()
    if fault == "short":
        path.write_bytes(content[:-2])
    elif fault == "flipped":
        path.write_bytes(bytes([content[0] ^ 1]) + content[1:])
    elif fault == "a folder":
        path.mkdir()
    with pytest.raises(HarnessError) as caught:
        open_data(folder.parent)
    assert str(caught.value).startswith(str(path))
    assert str(caught.value).endswith("run: autoresearch prepare")


def test_a_manifest_that_is_missing_or_of_another_version_is_refused(folder: Path) -> None:
    path = folder / names.MANIFEST
    manifest = store.read_manifest(folder)
    assert manifest is not None
    del manifest.digests[names.VAULT]
    store.write_manifest(folder, manifest)  # whole, but without a vault
    for content in (path.read_text(), json.dumps({"vocab_size": 61}), "{", None):
        path.unlink(missing_ok=True)
        if content is not None:
            path.write_text(content)
        with pytest.raises(HarnessError, match=r"manifest\.json .*run: autoresearch prepare"):
            open_data(folder.parent)
    with pytest.raises(HarnessError, match="run: autoresearch prepare"):
        open_data(folder.parent / "nowhere")


def test_batches_come_in_the_order_of_the_seed() -> None:
    batches, again = batches_of(4), batches_of(4)
    order = np.concatenate([np.random.default_rng([7, n]).permutation(10) for n in range(3)])
    for index in (0, 2, 5, 0):  # 2 spans two epochs
        assert batches.rows_of(index).tolist() == order[4 * index : 4 * index + 4].tolist()
    for index in range(7):
        assert batches.position == 4 * index
        x, y = batches.next()
        assert x.shape == y.shape == (4, 5) and x.dtype == y.dtype == torch.int64
        assert x.is_contiguous() and y.is_contiguous()
        wanted = torch.from_numpy(ROWS[order[4 * index : 4 * index + 4]])
        assert torch.equal(x, wanted[:, :-1]) and torch.equal(y, wanted[:, 1:])
        assert torch.equal(again.next()[0], x)
    assert batches_of(4, seed=8).rows_of(0).tolist() != batches.rows_of(0).tolist()


def test_another_batch_size_gives_the_same_rows_in_the_same_order() -> None:
    one = np.concatenate([batches_of(1).rows_of(index) for index in range(30)])
    for rows in (3, 10, 15, 30):  # 15 and 30 hold a row more than once
        many = [batches_of(rows).rows_of(index) for index in range(30 // rows)]
        assert np.concatenate(many).tolist() == one.tolist()
    assert sorted(one[:10].tolist()) == sorted(one[10:20].tolist()) == list(range(10))
    with pytest.raises(ValueError, match="at least 1"):
        batches_of(0)


def test_a_batch_stays_as_it_is_while_later_ones_are_drawn() -> None:
    batches = batches_of(4)
    x, y = batches.next()
    kept = x.clone(), y.clone()
    for _ in range(5):
        batches.next()
    assert torch.equal(x, kept[0]) and torch.equal(y, kept[1])


def test_tokens_above_32767_are_not_negative() -> None:
    rows = np.array([[65535, 40000, 0, 32768, 32767, 1]])
    x, y = batches_of(1, data=small_data(rows, [1] * 65536, bos=65535)).next()
    assert x.tolist() == [rows[0, :-1].tolist()] and y.tolist() == [rows[0, 1:].tolist()]
    bits = torch.from_numpy(rows.astype(np.uint16).view(np.int16))
    assert widened(bits).tolist() == rows.tolist()


def test_rows_are_read_from_the_map(folder: Path) -> None:
    batches = batches_of(3, data=open_data(folder.parent))
    drawn = torch.cat([batches.next()[0] for _ in range(10)])
    order = np.concatenate([batches.rows_of(index) for index in range(10)])
    assert torch.equal(drawn, torch.from_numpy(ROWS[order, :-1]))


def test_warm_up_tokens_are_random_and_count_for_nothing() -> None:
    clock = Clock(CPU)
    batches = Batches(small_data(ROWS, [1] * 60 + [0], bos=60), 4, CPU, 7, clock)
    model = torch.nn.Linear(2, 2)
    state = torch.get_rng_state()
    with clock.warm_up(model, []):
        drawn = [batches.next() for _ in range(50)]
        assert torch.equal(torch.get_rng_state(), state)
    tokens = torch.stack([torch.stack(pair) for pair in drawn])
    assert tokens.shape == (50, 2, 4, 5) and tokens.dtype == torch.int64
    assert sorted(set(tokens.flatten().tolist())) == list(range(61))  # the whole vocabulary
    assert torch.equal(tokens[:, 0, :, 1:], tokens[:, 1, :, :-1])  # y is x one token later
    assert (batches.position, clock.tokens) == (0, 0)
    assert torch.equal(batches.next()[0], batches_of(4).next()[0])
    assert (batches.position, clock.tokens) == (4, 20)


class LateCopy:
    """A copy that takes as long as it may: it reads the buffer only when it is waited for."""

    def __init__(self, buffer: torch.Tensor) -> None:
        self.buffer = buffer
        self.there: torch.Tensor | None = None

    def finish(self) -> None:
        if self.there is None:
            self.there = self.buffer.clone()

    def pair(self) -> tuple[torch.Tensor, torch.Tensor]:
        raise AssertionError("not asked for here")


@pytest.mark.parametrize("count", [1, 2, 3])
def test_no_buffer_is_filled_before_its_copy_is_done(count: int) -> None:
    ring = Ring([torch.empty(2, 3, dtype=torch.int16) for _ in range(count)], LateCopy)
    copies = [ring.start(lambda out, n=n: out.fill(n)) for n in range(10)]  # type: ignore[misc]
    waiting = [copy for copy in copies if copy.there is None]
    assert waiting == copies[-count:]  # as many are under way as there are buffers
    for copy in waiting:
        copy.finish()
    assert [int(copy.there.unique()) for copy in copies] == list(range(10))


@pytest.mark.gpu
def test_batches_on_a_gpu_are_those_of_the_cpu() -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    cuda = torch.device("cuda")
    rows = np.random.default_rng(0).integers(0, 65536, size=(500, 129))
    data = small_data(rows, [1] * 65536, bos=65535)
    here, there = batches_of(32, data=data), batches_of(32, device=cuda, data=data)
    busy = torch.randn(2000, 2000, device=cuda)
    for _ in range(40):
        for _ in range(10):
            busy = torch.tanh(busy @ busy)  # the device lags behind the host
        x, y = there.next()
        wanted = here.next()
        assert x.device.type == "cuda" and x.dtype == torch.int64
        assert torch.equal(x.cpu(), wanted[0]) and torch.equal(y.cpu(), wanted[1])


def test_the_seed_is_the_trials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTORESEARCH_SEED", "7")
    assert trial_seed() == 7
    monkeypatch.delenv("AUTORESEARCH_SEED")
    assert trial_seed() == 42
    for wrong in ("abc", "-1", "1.5", ""):
        monkeypatch.setenv("AUTORESEARCH_SEED", wrong)
        with pytest.raises(HarnessError, match="give a whole number from 0"):
            trial_seed()
