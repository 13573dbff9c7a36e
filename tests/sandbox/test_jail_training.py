"""Training in a jail: torch, its compiler and its loader's workers, with the numbers of no jail at all."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.jailed import KINDS, Trial, jail_of

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="bwrap and Landlock are Linux's"),
    pytest.mark.slow,
]

TRAINS = """\
import sys, torch
from torch.utils.data import DataLoader, TensorDataset

def score(x):
    return (x.sin() * x).sum()

if __name__ == "__main__":
    torch.manual_seed(1)
    torch.set_num_threads(1)
    x = torch.randn(64, 8)
    rows = TensorDataset(x, x.sum(1, keepdim=True).sin())
    model = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.GELU(), torch.nn.Linear(16, 1))
    optimiser = torch.optim.SGD(model.parameters(), 1e-2)
    for x, y in DataLoader(rows, 16, num_workers=2):
        loss = torch.nn.functional.mse_loss(model(x), y)
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
        print(f"{loss.item():.9f}")
    torch.save(model.state_dict(), "model.pt")
    if sys.argv[1] == "compile":
        with torch.no_grad():
            score = torch.compile(score)
    print(f"{score(x).item():.4f}")
"""


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder with a short name, as a trial's: the loader's workers bind sockets (107 bytes) in it."""
    with tempfile.TemporaryDirectory(prefix="jail-") as folder:
        yield Path(folder).resolve()


def test_the_numbers_are_those_without_a_jail(short: Path) -> None:
    pytest.importorskip("torch")
    said = {}
    # compiled where it could fail: that takes ten seconds each time
    for kind, how in (("none", "eager"), *((kind, "compile") for kind in KINDS)):
        jail_of(kind)
        env = {"TORCHINDUCTOR_COMPILE_THREADS": "1"}
        trial = Trial(short / kind, kind, timeout_s=300, env=env)
        trial.folder.mkdir()
        (trial.folder / "train.py").write_text(TRAINS)
        outcome, said[kind] = trial.run(sys.executable, "train.py", how)
        assert outcome.exit_code == 0, said[kind]
        assert (trial.folder / "model.pt").stat().st_size > 1000
        assert list(trial.folder.rglob("*.so")) or how == "eager"  # a compiler ran in there
    assert len(said["none"].splitlines()) == 5
    assert said["bwrap"] == said["landlock"] == said["none"]
