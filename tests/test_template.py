"""The training template: exact attention, a repeatable score, an early end for a broken loss."""

from __future__ import annotations

import ast
import contextlib
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

torch = pytest.importorskip("torch")

import autoresearch  # noqa: E402
from autoresearch.harness.prepare import prepare  # noqa: E402
from tests.test_harness_data import write_texts  # noqa: E402

TEMPLATE = Path(autoresearch.__file__).parent / "template"


@pytest.fixture(scope="session")
def train() -> ModuleType:
    """train.py as a module: its parts, without a run."""
    spec = importlib.util.spec_from_file_location("template_train", TEMPLATE / "train.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("template")
    prepare(str(write_texts(root / "texts")), root / "cache", say=lambda line: None)
    return root / "cache"


def trial(folder: Path, cache: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """train.py of `folder` in a process of its own, for 20 steps on one thread."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "PYTHONPATH": str(Path(autoresearch.__file__).parents[1]),
        "AUTORESEARCH_CACHE": str(cache),
        "AUTORESEARCH_BUDGET": "20steps",
        "CUDA_VISIBLE_DEVICES": "",
        "OMP_NUM_THREADS": "1",
        **variables,
    }
    return subprocess.run(
        [sys.executable, "train.py"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


def copied(folder: Path, **knobs: object) -> Path:
    """A folder with train.py, some of its constants rewritten."""
    text = (TEMPLATE / "train.py").read_text(encoding="utf-8")
    for name, value in knobs.items():
        text, count = re.subn(rf"(?m)^{name} = [^#\n]*", f"{name} = {value!r}  ", text)
        assert count == 1, name
    folder.mkdir(exist_ok=True)
    (folder / "train.py").write_text(text, encoding="utf-8")
    return folder


def bpb(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, done.stderr
    (found,) = re.findall(r"(?m)^val_bpb: +(\d+\.\d{6})$", done.stdout)
    return str(found)


def dense(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, window: int) -> torch.Tensor:
    """Attention spelled out: token i sees tokens i - window + 1 to i."""
    T = q.size(2)
    scores = q @ k.mT / q.size(3) ** 0.5
    for i in range(T):
        for j in range(T):
            if not i - window < j <= i:
                scores[..., i, j] = float("-inf")
    return scores.softmax(-1) @ v


@pytest.mark.parametrize(
    ("length", "window"),
    [(32, 4), (32, 8), (24, 6), (32, 16), (30, 7), (32, 1), (16, 15), (16, 16), (16, 99)],
)
def test_window_attention_is_exact_forward_and_backward(
    train: ModuleType, length: int, window: int
) -> None:
    torch.manual_seed(0)
    inputs = [torch.randn(2, 3, length, 8, dtype=torch.float64) for _ in range(3)]
    ours = [t.clone().requires_grad_() for t in inputs]
    theirs = [t.clone().requires_grad_() for t in inputs]
    out, reference = train.attend(*ours, window), dense(*theirs, window)
    torch.testing.assert_close(out, reference)
    weight = torch.randn_like(out)
    (out * weight).sum().backward()
    (reference * weight).sum().backward()
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a.grad, b.grad)


def test_no_logit_depends_on_a_later_token_or_another_row(train: ModuleType) -> None:
    torch.manual_seed(0)
    model = train.GPT(vocab_size=50, seq_len=16)
    for param in model.parameters():  # as initialised, the blocks do nothing yet
        torch.nn.init.normal_(param, std=0.2)
    tokens = torch.randint(0, 50, (3, 16))
    changed = tokens.clone()
    changed[0, 9:] = (changed[0, 9:] + 1) % 50
    a, b = model(tokens), model(changed)
    torch.testing.assert_close(a[0, :9], b[0, :9])
    torch.testing.assert_close(a[1:], b[1:])
    assert not torch.allclose(a[0, 9:], b[0, 9:])


@pytest.mark.parametrize("shape", [(2, 16, 16), (1, 64, 16), (1, 16, 64)])
def test_orthogonalised_matrices_have_singular_values_about_one(
    train: ModuleType, shape: tuple[int, ...]
) -> None:
    torch.manual_seed(0)
    values = torch.linalg.svdvals(train.orthogonalise(torch.randn(shape)))
    assert values.min() > 0.7 and values.max() < 1.3


def test_the_schedule_falls_with_the_share_of_the_budget(train: ModuleType) -> None:
    shares = [train.lr_share(step / 100) for step in range(101)]
    assert shares[0] == 1.0 and shares[-1] == pytest.approx(train.FINAL_LR)
    assert shares == sorted(shares, reverse=True)


def test_the_same_seed_gives_the_same_score_to_the_last_digit(
    tmp_path: Path, prepared: Path
) -> None:
    folder = copied(tmp_path / "lab")
    first = trial(folder, prepared, AUTORESEARCH_SEED="5")
    again = trial(folder, prepared, AUTORESEARCH_SEED="5")
    other = trial(folder, prepared, AUTORESEARCH_SEED="6")
    assert bpb(first) == bpb(again) != bpb(other)
    lines = re.split(r"[\r\n]+", first.stdout)
    assert any(re.match(r"step 20 100\.0 % loss \d", line) for line in lines)
    summary = lines[lines.index("---") + 1 :]
    keys = [line.split(":")[0] for line in summary if line]
    assert len(keys) == len(set(keys)) == 10
    assert "num_steps:        20" in summary
    assert not list(folder.glob("*.pt"))


def test_other_knobs_train_too(tmp_path: Path, prepared: Path) -> None:
    knobs = {"DEPTH": 3, "DIM": 40, "WINDOW": "S", "SHORT_WINDOW": 8, "VALUE_EMBEDS": False}
    done = trial(copied(tmp_path / "lab", **knobs, WARMDOWN=0.0, BATCH_SIZE=3), prepared)
    assert float(bpb(done)) > 0 and "depth:            3" in done.stdout


def test_a_step_in_several_passes_has_the_gradients_of_one(
    train: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    model = train.GPT(vocab_size=50, seq_len=16)
    x, y = torch.randint(0, 50, (5, 16)), torch.randint(0, 50, (5, 16))

    def gradients(rows: int) -> tuple[float, torch.Tensor]:
        monkeypatch.setattr(train, "pass_rows", lambda seq_len: rows)
        kept: list[torch.Tensor] = []
        look = model.head.weight.register_post_accumulate_grad_hook
        hook = look(lambda param: kept.append(param.grad.clone()))
        loss = train.train_step(model, [], x, y, 0.0, contextlib.nullcontext())
        hook.remove()
        model.zero_grad(set_to_none=True)
        return loss, kept[-1]

    (whole, one), (split, three) = gradients(5), gradients(2)
    assert split == pytest.approx(whole, rel=1e-6)
    torch.testing.assert_close(one, three)


def test_a_loss_that_is_not_finite_ends_the_trial_at_once(tmp_path: Path, prepared: Path) -> None:
    done = trial(copied(tmp_path / "lab", MATRIX_LR=float("1e39")), prepared)
    assert done.returncode == 1
    assert re.search(r"(?m)^FAIL: loss is nan at step [1-9]\d?$", done.stdout)
    assert "val_bpb" not in done.stdout


def test_without_data_the_last_line_says_what_to_do(tmp_path: Path) -> None:
    done = trial(copied(tmp_path / "lab"), tmp_path / "nothing")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].endswith("run: autoresearch prepare")


def constants() -> dict[str, object]:
    """The upper-case literals at the top of train.py."""
    found: dict[str, object] = {}
    for node in ast.parse((TEMPLATE / "train.py").read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
            (target,) = node.targets
            assert isinstance(target, ast.Name) and target.id not in found
            found[target.id] = node.value.value
    return found


def test_every_line_of_the_knobs_stands_alone() -> None:
    # A search/replace block must match one place: no knob's line may occur twice.
    lines = (TEMPLATE / "train.py").read_text(encoding="utf-8").splitlines()
    for line in lines:
        if re.match(r"[A-Z_0-9]+ = ", line):
            assert lines.count(line) == 1, line
    assert len(constants()) > 15
