"""`prepare` as a process that is stopped in the middle."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("pyarrow")
pytest.importorskip("huggingface_hub")

from tests.fileserver import Drip, Hub

BLOB = b"PAR1" + bytes(200_000)
FILES = {f"shard_{number:05d}.parquet": BLOB for number in (0, 6541, 6542)}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_each_signal_ends_the_download_with_the_command(
    tmp_path: Path, number: signal.Signals
) -> None:
    with Hub("karpathy/climbmix-400b-shuffle", FILES) as hub:
        hub.faults = {name: [Drip(0.02)] for name in FILES}
        process = subprocess.Popen(
            # as a job in the background, which starts with SIGINT ignored
            ["sh", "-c", "trap '' INT; exec \"$0\" \"$@\"",
             sys.executable, "-m", "autoresearch", "prepare", "--source", "climbmix", "--shards", "1"],
            cwd=tmp_path, env={**os.environ, "AUTORESEARCH_CACHE": str(tmp_path), "HF_ENDPOINT": hub.url},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        folder, deadline = tmp_path / "sources" / "climbmix", time.monotonic() + 30
        try:
            while sum(part.stat().st_size > 0 for part in folder.glob("*.part")) < 3:
                assert time.monotonic() < deadline and process.poll() is None
                time.sleep(0.01)
            process.send_signal(number)
            said, _ = process.communicate(timeout=30)  # its end: the child has closed the pipe too
        finally:
            process.kill()
            process.wait()
    assert process.returncode == 130
    assert said.endswith("prepare: interrupted; run it again to go on\n")
    assert len(list(folder.glob("*.part"))) == 3 and not list(folder.glob("*.parquet"))
