"""How a call of the command line ends: its faults, its signals and its exit code."""

from __future__ import annotations

import errno
import os
import signal
import sys
from typing import TYPE_CHECKING, Any, NoReturn

import typer

from autoresearch import __version__
from autoresearch.errors import AutoresearchError, Interrupted, UsageError
from autoresearch.ratchet.interrupts import stopping
from autoresearch.streams import ensure_utf8, outlive

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType, TracebackType

_WrongUsage: Any = typer.BadParameter.__base__  # click's own, which typer may bring or import
_MACHINE_FAULTS = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS)


def call(app: typer.Typer) -> NoReturn:
    """Runs the command that was typed; a fault of the user's is one line, a bug of ours has a log."""
    sys.excepthook = _bug
    ensure_utf8()
    outlive()
    _interruptible()
    code = 0
    try:
        try:
            code = _called(app)
        finally:
            sys.stdout.flush()  # here, where a full disk can be told of
    except AutoresearchError as fault:
        _say_error(str(fault), fault.status, fault.paths)
        sys.exit(fault.exit_code)
    except OSError as fault:
        if fault.errno not in _MACHINE_FAULTS:
            raise
        _say_error(
            f"{fault.filename or 'the disk'}: {fault.strerror}. Nothing recorded is lost; mend it and "
            "call the same command again"
        )
        sys.exit(1)
    except Interrupted:
        if _json_wanted():
            _say_error("interrupted; the same command goes on from here")
        sys.exit(130)
    sys.exit(code)


def _json_wanted() -> bool:
    """Whether standard output is JSON, wrong usage included, which no command comes to see."""
    return "--json" in sys.argv[1:]


def _called(app: typer.Typer) -> int:
    """Runs the command that was typed, and returns its exit code.

    With JSON wrong usage is raised as an error of ours, which is printed as JSON too.
    """
    command = typer.main.get_command(app)  # app() itself would put an excepthook over ours
    if not _json_wanted():
        command()
        return 0
    try:
        code = command(standalone_mode=False)
    except _WrongUsage as fault:
        raise UsageError(fault.format_message()) from None
    return code if isinstance(code, int) else 0


def _say_error(reason: str, status: str = "error", paths: Sequence[str] = ()) -> None:
    """Says on standard error what went wrong, and on standard output where JSON is wanted there."""
    from autoresearch.streams import say, say_json

    say(f"error: {reason}", sys.stderr)
    if _json_wanted():
        say_json({"status": status, "reason": reason, "paths": list(paths)})


def _interruptible() -> None:
    """Lets SIGINT, SIGTERM and SIGHUP end any command with 130; a run has handlers of its own above these."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise Interrupted

    for number in stopping():
        signal.signal(number, interrupt)


def _bug(kind: type[BaseException], fault: BaseException, where: TracebackType | None) -> None:
    """Writes the log of a bug of ours, prints its path, and exits with 3."""
    import tempfile
    import traceback

    lines = traceback.format_exception(kind, fault, where)
    about = f"autoresearch {__version__}, Python {sys.version}, {sys.platform}\n{sys.argv[1:2]}\n"
    descriptor, path = tempfile.mkstemp(prefix="autoresearch-bug-", suffix=".log")
    with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
        file.write(about + "".join(lines))
    _say_error(
        f"a bug in autoresearch: {lines[-1].strip()}\nNothing recorded is lost. The log to report: {path}"
    )
    os._exit(3)
