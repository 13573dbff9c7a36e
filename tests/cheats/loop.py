"""A loop that runs one script after the other and protects nothing; run as `python loop.py`.

A line of JSON on standard input names a script, its folder and its log; a line with its exit code
comes back. torch is loaded once, and each script runs in a fork of this process.
"""

from __future__ import annotations

import json
import os
import sys
import traceback

import torch  # noqa: F401

import autoresearch.harness.bpb
import autoresearch.harness.loader  # noqa: F401


def run(script: str, folder: str, log: str) -> None:
    """Become the script."""
    os.setsid()
    os.chdir(folder)
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    os.dup2(file, 1)
    os.dup2(file, 2)
    code = 0
    try:
        with open(script, encoding="utf-8") as source:
            exec(compile(source.read(), script, "exec"), {"__name__": "__main__"})
    except SystemExit as end:
        if end.code is not None:
            print(end.code, file=sys.stderr)
            code = 1
    except BaseException:  # noqa: BLE001
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    os._exit(code)


for line in sys.stdin:
    pid = os.fork()
    if pid == 0:
        run(**json.loads(line))
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
