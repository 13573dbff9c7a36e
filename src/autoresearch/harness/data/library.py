"""The source `stdlib`: the library of the Python that runs, text on every machine.

A trial runs under the same Python, so its library lies open to it. Validation and vault are
therefore drawn only from parts that training has no use for, tests above all. Those parts are
hidden from a jailed trial, whichever side their documents fall on; the rows of those that are for
training still reach it.
"""

from __future__ import annotations

import glob
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path

from ..cache import HarnessError
from .corpus import HELD_OUT_SHARE, LocalFiles, files_below

# None of these was loaded by torch with its compiler, numpy, tiktoken, pyarrow, matplotlib, sympy
# and the template, which together load 222 modules of the library (Python 3.11, torch 2.13).
APART = (
    *("test", "idlelib", "lib2to3", "turtledemo"),
    *("ctypes/test", "distutils/tests", "sqlite3/test", "tkinter/test", "unittest/test"),
)
# Taken as well where the tests were split off, as by Debian and in slim container images.
RARE = (
    *("_pydecimal.py", "aifc.py", "imaplib.py", "mailbox.py", "modulefinder.py", "msilib"),
    *("nntplib.py", "poplib.py", "smtpd.py", "sunau.py", "telnetlib.py", "tkinter", "trace.py"),
    *("turtle.py", "venv", "wsgiref", "xmlrpc"),
)
# Text that training need not read either. It is for training, so its rows are granted; but what lies
# open could be learnt before the first grant, and of the library's open text these are a third.
UNUSED = (
    *("_pyio.py", "asynchat.py", "asyncore.py", "cgi.py", "cgitb.py"),
    *("compileall.py", "crypt.py", "curses", "dbm", "distutils", "ensurepip", "ftplib.py"),
    *("mailcap.py", "optparse.py", "pipes.py", "pyclbr.py", "pydoc.py", "pydoc_data", "smtplib.py"),
    *("sndhdr.py", "tabnanny.py", "uu.py", "wave.py", "webbrowser.py", "xdrlib.py", "zipapp.py"),
)
LEAST_BYTES = 512_000  # to hold out from: what is left for each side is 90,000 tokens


def stdlib() -> LocalFiles:
    """Returns the .py files of the Python that runs. Raises HarnessError where too few can be held out."""
    root = Path(sysconfig.get_paths()["stdlib"])
    paths = [
        (path.relative_to(root).as_posix(), path)
        for path in files_below(root, (".py",))
        # _sysconfigdata records how this one interpreter was built.
        if not path.name.startswith("_sysconfigdata")
    ]
    parts: Sequence[str] = APART
    if _bytes_in(paths, parts) < 2 * HELD_OUT_SHARE * sum(path.stat().st_size for _, path in paths):
        parts = APART + RARE
    held_bytes = _bytes_in(paths, parts)
    if held_bytes < LEAST_BYTES:
        raise HarnessError(
            f"source 'stdlib': of {root} only {held_bytes} bytes could be held out, and "
            f"{LEAST_BYTES} are needed, because Python's own tests are not installed; install them "
            "(Debian: libpython3-testsuite, Fedora: python3-test), or name another source, such as "
            "a folder of text"
        )
    held = [(name, path) for name, path in paths if _is_in(name, parts)]
    others = [(name, path) for name, path in paths if not _is_in(name, parts)]
    closed = [*dict.fromkeys((*parts, *RARE, *UNUSED))]
    return LocalFiles("stdlib", held, hidden_parts(root, closed), whole=True, training=others)


def hidden_parts(root: Path, parts: Sequence[str]) -> list[str]:
    """Returns where those parts lie, in the library `root` and in those of other Pythons found here."""
    base = Path(sys.base_prefix).resolve()
    patterns = [
        *("/usr/lib/python3*", "/usr/lib64/python3*", "/usr/local/lib/python3*"),
        f"{glob.escape(str(base.parent))}/*/lib/python3*",  # as pyenv, uv and conda lay them out
        f"{glob.escape(str(base))}/pkgs/*/lib/python3*",  # conda's unpacked packages
    ]
    libraries = {root.resolve()}
    for pattern in patterns:
        libraries.update(Path(found).resolve() for found in glob.glob(pattern))
    places = (library / part for library in libraries for part in parts)
    return sorted({str(place.resolve()) for place in places if place.exists()})


def _bytes_in(paths: Sequence[tuple[str, Path]], parts: Sequence[str]) -> int:
    return sum(path.stat().st_size for name, path in paths if _is_in(name, parts))


def _is_in(name: str, parts: Sequence[str]) -> bool:
    return any(name == part or name.startswith(part + "/") for part in parts)
