"""The real command line in a process of its own, without waiting for its imports each time.

Most of what a short command takes is the start of Python and the import of the tool and its libraries.
A server process has imported them once; for each command it forks, and the child takes the command's
arguments, folder, environment and standard streams and goes on as `python -m autoresearch`. PATH and
SDKs that are new get a server of their own when they come often, and a cold start until then. A command
starts cold, too, where a variable that Python itself reads at its start (PYTHON*, the locale's, the
loader's) differs from ours, and where a test asks for it, since it looks at what the kernel shows of
the tool's own start (/proc/PID/environ).
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import pkgutil
import resource
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as TooLong
from pathlib import Path
from typing import NamedTuple

_START = dict(os.environ)
_OF_THE_START = ("PYTHON", "LC_", "LD_", "MALLOC")
_SDKS = ("anthropic", "openai")
_OFTEN, _MOST_SERVERS = 3, 6

cpu_s = 0.0  # of all commands so far


def run(
    arguments: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    stdin: bytes = b"",
    timeout_s: float = 60,
    cold: bool = False,
) -> subprocess.CompletedProcess[bytes]:
    """Runs `python -m autoresearch` with the arguments to its end, as subprocess.run does.

    Raises subprocess.TimeoutExpired where it takes longer than timeout_s, after killing it.
    """
    path = None if cold else _server_for(env)
    command = [sys.executable, "-m", "autoresearch", *arguments]
    if path is None:
        return subprocess.run(
            command, cwd=cwd, env=env, input=stdin, capture_output=True, timeout=timeout_s
        )
    ours, theirs = zip(*(os.pipe()[:: 1 if n else -1] for n in range(3)), strict=True)
    with ThreadPoolExecutor(4) as pool, socket.socket(socket.AF_UNIX) as line:
        line.connect(path)
        asked = {"arguments": list(arguments), "cwd": str(cwd), "env": dict(env)}
        socket.send_fds(line, [json.dumps(asked).encode() + b"\n"], theirs)
        for descriptor in theirs:
            os.close(descriptor)
        reader = line.makefile("rb")
        pid = int(reader.readline())
        pool.submit(_give, ours[0], stdin)
        out, err = (pool.submit(_all_of, descriptor) for descriptor in ours[1:])
        ended = pool.submit(reader.readline)
        try:
            code, spent_s = ended.result(timeout_s).split()
            printed = out.result(timeout_s), err.result(timeout_s)
        except TooLong:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            raise subprocess.TimeoutExpired(command, timeout_s) from None
    global cpu_s
    cpu_s += float(spent_s)
    return subprocess.CompletedProcess(command, int(code), *printed)


def _give(descriptor: int, data: bytes) -> None:
    with contextlib.suppress(BrokenPipeError), open(descriptor, "wb") as pipe:
        pipe.write(data)


def _all_of(descriptor: int) -> bytes:
    with open(descriptor, "rb") as pipe:
        return pipe.read()


def _server_for(env: Mapping[str, str]) -> str | None:
    """Returns the path of the socket of a server for this environment; None for a cold start."""
    if _of_the_start(env) != _of_the_start(_START):
        return None
    sdks = tuple(sdk for sdk in _SDKS if f"{sdk.upper()}_API_KEY" in env)
    key = _Key(sdks, env.get("PATH", ""), env.get("LANG", ""))
    _asked[key] += 1
    if key not in _servers and _asked[key] >= _OFTEN and len(_servers) < _MOST_SERVERS:
        path = tempfile.mkdtemp(prefix="autoresearch-warm-") + "/socket"
        start = {"PATH": key.path, "LANG": key.lang, **_of_the_start(env)}
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.warm", path, *sdks], cwd=Path(__file__).parents[1],
            env={"HOME": tempfile.gettempdir(), **start}, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n", (
            "the tests' server of commands did not start"
        )
        _servers[key] = path, process
    return _servers[key][0] if key in _servers else None


def _of_the_start(env: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in env.items() if name.startswith(_OF_THE_START)}


class _Key(NamedTuple):
    """What the commands of one server have in common."""

    sdks: tuple[str, ...]
    path: str
    lang: str


_asked: Counter[_Key] = Counter()
# A server ends when its standard input does, with this process.
_servers: dict[_Key, tuple[str, subprocess.Popen[bytes]]] = {}


def _serve(path: str, sdks: Sequence[str]) -> list[str]:
    """Forks for each command that is asked for; returns its arguments, in the child alone."""
    import autoresearch.commands

    for found in pkgutil.walk_packages(autoresearch.commands.__path__, "autoresearch.commands."):
        importlib.import_module(found.name)
    for sdk in sdks:
        with contextlib.suppress(ImportError):  # the command says so itself
            importlib.import_module(sdk)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()
    gc.freeze()
    print("ready", flush=True)
    while True:
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        ready, _, _ = select.select([0, listener], [], [])
        if listener not in ready:  # the process that has started us is gone
            os.unlink(path)
            os.rmdir(os.path.dirname(path))
            os._exit(0)
        line, _ = listener.accept()
        if os.fork() == 0:
            listener.detach()
            return _start(line)
        line.close()


def _start(line: socket.socket) -> list[str]:
    """Forks once more; the child becomes the command, this process waits for it and never returns."""
    text, descriptors, _, _ = socket.recv_fds(line, 1 << 16, 3)
    while not text.endswith(b"\n"):
        text += line.recv(1 << 16)
    pid = os.fork()
    if pid:
        for descriptor in descriptors:
            os.close(descriptor)
        line.sendall(b"%d\n" % pid)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        line.sendall(b"%d %f\n" % (code, used.ru_utime + used.ru_stime))
        os._exit(0)
    line.detach()
    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
    os.closerange(3, max(descriptors) + 10)
    asked = json.loads(text)
    os.environ.clear()
    os.environ.update(asked["env"])
    os.chdir(asked["cwd"])
    sys.path[0] = asked["cwd"]
    arguments = list(asked["arguments"])
    sys.orig_argv[:] = [sys.executable, "-m", "autoresearch", *arguments]
    return arguments


if __name__ == "__main__":
    sys.argv[1:] = _serve(sys.argv[1], sys.argv[2:])
    runpy.run_module("autoresearch", run_name="__main__", alter_sys=True)
