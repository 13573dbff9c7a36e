"""Safeguards, each with the tests that must miss it."""

from __future__ import annotations

from tests.mutants.overlay import Mutant

_JOURNAL = ("tests/test_journal.py",)
_PROBES = ("tests/test_verification.py",)
_SEAL = ("tests/test_seal.py",)

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
        "    crc = zlib.crc32(body, chain)",
        "    crc = zlib.crc32(body, zlib.crc32(body) * 0 + chain * 0)",
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
    # -- the probes before a keep -------------------------------------------------------------
    Mutant(
        "no probe replay",
        "verification.py",
        '_PROBES = ("replay", "rows", "twin")',
        '_PROBES = ("rows", "twin")',
        _PROBES,
    ),
    Mutant(
        "no probe rows",
        "verification.py",
        '_PROBES = ("replay", "rows", "twin")',
        '_PROBES = ("replay", "twin")',
        _PROBES,
    ),
    Mutant(
        "no probe twin",
        "verification.py",
        '_PROBES = ("replay", "rows", "twin")',
        '_PROBES = ("replay", "rows")',
        _PROBES,
    ),
    Mutant(
        "no probe vault",
        "verification.py",
        "    if calibration is not None:\n        gain",
        "    if False:\n        gain",
        _PROBES,
    ),
    Mutant(
        "nan passes the probes",
        "verification.py",
        "        if not measured[probe] <= allowed:",
        "        if measured[probe] > allowed:",
        _PROBES,
    ),
    # -- digests before and after a trial -----------------------------------------------------
    Mutant(
        "new files are not seen",
        "seal.py",
        "        for path in sorted(self._seen.keys() ^ now):\n            return str(path)\n",
        "",
        _SEAL,
    ),
    Mutant(
        "change times are not looked at",
        "seal.py",
        "    return info.st_ino, info.st_mode, info.st_size, info.st_ctime_ns",
        "    return info.st_ino, info.st_mode, info.st_size, info.st_mtime_ns",
        _SEAL,
    ),
    Mutant(
        "contents are not compared",
        "seal.py",
        "            if _digest(path) != digest:",
        "            if False:",
        _SEAL,
    ),
]
