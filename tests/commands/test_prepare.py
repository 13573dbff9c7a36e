"""`prepare` as a process that is stopped in the middle."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

pytest.importorskip("pyarrow")
pytest.importorskip("huggingface_hub")

from tests.fileserver import interrupted

BLOB = b"PAR1" + bytes(200_000)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_each_signal_ends_the_download_with_the_command(
    tmp_path: Path, number: signal.Signals
) -> None:
    cache = {"AUTORESEARCH_CACHE": str(tmp_path)}
    done = interrupted(number, BLOB, tmp_path, "autoresearch", "prepare", **cache)
    assert done.returncode == 130
    assert done.stderr.endswith("prepare: interrupted; run it again to go on\n")
