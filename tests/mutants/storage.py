"""Safeguards of what is recorded: the journal, the disk, digests before and after a trial."""

from __future__ import annotations

from tests.mutants.overlay import Mutant

_JOURNAL = ("tests/ledger/test_journal.py",)
_SEAL = ("tests/sandbox/test_seal.py",)
# What a power cut leaves behind the calls of a run, at a spread of them.
_CUTS = ("tests/ratchet/test_faults.py::test_a_run_survives[cuts-0]",)
_SPARSE = (("FAULTS", "8"),)
_CHAINED = '''\
    chain = zlib.crc32(body, chain)
    return b"%08x %s\\n" % (chain, body), chain


def _decode(line: bytes, chain: int) -> tuple[Record, int] | None:
    """The record of a whole line, or None where line and checksum do not agree."""
    if len(line) < 10 or line[8:9] != b" ":
        return None
    body = line[9:]
    crc = zlib.crc32(body, chain)
'''

MUTANTS = [
    # -- the journal --------------------------------------------------------------------------
    Mutant(
        "a record's checksum is not compared",
        "ledger/journal.py",
        '    if line[:8] != b"%08x" % crc:\n        return None\n',
        "",
        _JOURNAL,
    ),
    Mutant(
        "checksums are not chained",
        "ledger/journal.py",
        _CHAINED,
        _CHAINED.replace("(body, chain)", "(body)"),
        _JOURNAL,
    ),
    Mutant(
        "damage before the last line is cut off",
        "ledger/journal.py",
        "            if end >= 0 and end + 1 < len(content):",
        "            if False:",
        _JOURNAL,
    ),
    Mutant(
        "a torn tail stays",
        "ledger/journal.py",
        '            path.with_name("journal.torn").write_bytes(content[self._length :])\n'
        "            self._cut()\n",
        "            pass\n",
        _JOURNAL,
    ),
    Mutant(
        "a record that did not fit is not taken back",
        "ledger/journal.py",
        "            with contextlib.suppress(OSError):\n                self._cut()\n",
        "",
        _JOURNAL,
    ),
    # -- the disk -----------------------------------------------------------------------------
    Mutant(
        "the journal is not synced",
        "ledger/journal.py",
        "            os.fsync(self._file)\n        except OSError",
        "        except OSError",
        _CUTS,
        _SPARSE,
    ),
    Mutant(
        "files are not synced before they are renamed",
        "paths.py",
        "        os.fsync(file.fileno())\n",
        "",
        _CUTS,
        _SPARSE,
    ),
    Mutant(
        "git syncs nothing",
        "workspace/git.py",
        '    "core.fsync": "all",\n',
        '    "core.fsync": "none",\n',
        _CUTS,
        _SPARSE,
    ),
    Mutant(
        "folders are not synced",
        "paths.py",
        "        os.fsync(descriptor)\n",
        "        pass\n",
        ("tests/ratchet/test_holes.py::test_a_name_is_on_disk_when_a_file_is_written",),
    ),
    # -- digests before and after a trial -----------------------------------------------------
    Mutant(
        "new files are not seen",
        "sandbox/seal.py",
        "        for path in sorted(self._seen.keys() ^ now):\n            return str(path)\n",
        "",
        _SEAL,
    ),
    Mutant(
        "change times are not looked at",
        "sandbox/seal.py",
        "    return info.st_ino, info.st_mode, info.st_size, info.st_ctime_ns",
        "    return info.st_ino, info.st_mode, info.st_size, info.st_mtime_ns",
        _SEAL,
    ),
    Mutant(
        "contents are not compared",
        "sandbox/seal.py",
        "            if _digest(path) != digest:",
        "            if False:",
        _SEAL,
    ),
]
