"""Safeguards of the jail: what refuses, and the attempts that show that it does."""

from __future__ import annotations

from tests.mutants.overlay import Mutant

_SELF_TEST = "tests/sandbox/test_selftest.py::"
_HOLDS = f"{_SELF_TEST}test_a_jail_that_holds_is_told_and_its_self_test_leaves_no_trace"
_WITHOUT_LANDLOCK = (f"{_SELF_TEST}test_without_landlock",)
_WITHOUT_FILTER = (f"{_SELF_TEST}test_without_the_filter_of_system_calls[landlock]",)
_WITHOUT_LIMITS = (f"{_SELF_TEST}test_without_limits_or_without_the_sweep[landlock]",)
_FILES = "tests/sandbox/test_jail.py::test_the_longest_path_decides"
_HIDDEN_FILE = "tests/sandbox/test_jail.py::test_a_hidden_file_is_not_read_and_its_neighbour_is"


def _no_attempt(name: str, line: str, *tests: str) -> Mutant:
    """One attempt that is not tried any more; line: where it is added, whole."""
    return Mutant(f"no attempt: {name}", "sandbox/decoys.py", line, "", tests)


MUTANTS = [
    # -- attempts -----------------------------------------------------------------------------
    _no_attempt(
        "write the repository",
        '        self._create("write the repository", policy.root, 2)\n',
        *_WITHOUT_LANDLOCK,
    ),
    _no_attempt(
        "change the journal",
        '        self._on_decoy("change the journal", "change", policy.git, 2)\n',
        *_WITHOUT_LANDLOCK,
    ),
    _no_attempt("read home", '            ("read home", policy.home),\n', *_WITHOUT_LANDLOCK),
    _no_attempt(
        "read the data", '            ("read the data", policy.cache),\n', *_WITHOUT_LANDLOCK
    ),
    Mutant(
        "no attempt: read the rows that are held out",
        "sandbox/decoys.py",
        '                if reach(self.access, path) == "hidden":',
        "                if False:",
        (f"{_HOLDS}[landlock]",),
    ),
    _no_attempt(
        "end another process",
        '        self._add("end another process", "kill", victim.pid, 3, '
        "lambda: victim.poll() is not None)\n",
        f"{_SELF_TEST}test_landlock_without_scopes_is_level_two",
    ),
    _no_attempt(
        "trace a process",
        '        self._add("trace a process", "ptrace", None, 2)\n',
        *_WITHOUT_FILTER,
    ),
    _no_attempt(
        "ask what is in memory",
        '        self._add("ask what is in memory", "residency", harmless_calls(), 2)\n',
        *_WITHOUT_FILTER,
    ),
    Mutant(
        "reads that do not wait are allowed",
        "sandbox/confine.py",
        '(_JSET, _RWF_NOWAIT, "refuse", "ok"))',
        '(_JSET, _RWF_NOWAIT, "ok", "ok"))',
        (f"{_HOLDS}[landlock]",),
    ),
    Mutant(
        "one call that tells what is in memory is enough to be refused",
        "sandbox/attempts.py",
        "            through.append(name)\n",
        "            through += [name] * (len(calls) == 1)\n",
        (
            f"{_SELF_TEST}test_a_filter_that_forgot_one_way_to_ask_what_is_in_memory[mincore-landlock]",
        ),
    ),
    Mutant(
        "pages stay in memory",
        "sandbox/eviction.py",
        "            advise(file, 0, 0, os.POSIX_FADV_DONTNEED)\n",
        "",
        (
            "tests/sandbox/test_eviction.py::test_no_word_is_left_in_the_page_cache[landlock-by_blocks]",
        ),
    ),
    Mutant(
        "counters of the whole machine are seen",
        "sandbox/jail.py",
        "for path in counters if os.path.exists(path)}",
        "for path in counters if False}",
        ("tests/sandbox/test_jail.py::test_counters_of_the_whole_machine_are_closed",),
    ),
    _no_attempt(
        "reach UDP",
        '        self._add("reach UDP", "udp", udp.getsockname()[1], 2, lambda: _heard(udp) != b"")\n',
        *_WITHOUT_FILTER,
    ),
    _no_attempt(
        "read the supervisor's environment",
        '        self._add("read the supervisor\'s environment", "environ", os.getpid(), 1)\n',
        f"{_SELF_TEST}test_no_jail_is_level_one",
    ),
    _no_attempt(
        "outlive the kill",
        '        self._add("outlive the kill", "daemon", None, 1, lambda: _heard(self.ours) is None)\n',
        *_WITHOUT_LIMITS,
    ),
    _no_attempt(
        "write its scratch",
        '        self._create("write its scratch", self.scratch, 0)\n',
        f"{_SELF_TEST}test_a_jail_in_which_nothing_can_be_written_is_no_jail_to_use[landlock]",
    ),
    Mutant(
        "a trial is believed, whatever happened",
        "sandbox/selftest.py",
        "        return not (attempt.happened() if attempt.happened else done)\n",
        "        return not done\n",
        ("tests/ratchet/test_holes.py::test_a_self_test_that_lies_is_not_believed",),
    ),
    Mutant(
        "what nothing was said of was refused",
        "sandbox/selftest.py",
        "    if attempt.name not in answers:\n        return False\n",
        "    if attempt.name not in answers:\n        return True\n",
        (f"{_SELF_TEST}test_auto_takes_the_highest_that_holds",),
    ),
    # -- what the kernel refuses --------------------------------------------------------------
    Mutant(
        "no filter of system calls",
        "sandbox/confine.py",
        "        if can_filter():\n",
        "        if False:\n",
        (f"{_HOLDS}[landlock]",),
    ),
    Mutant(
        "every socket may be made",
        "sandbox/confine.py",
        '(_JEQ, 1, "ok", "refuse"))  # AF_UNIX',
        '(_JEQ, 1, "ok", "ok"))  # AF_UNIX',
        (f"{_HOLDS}[landlock]",),
    ),
    Mutant(
        "no Landlock",
        "sandbox/confine.py",
        "        if words:\n",
        "        if False:\n",
        (f"{_HOLDS}[landlock]",),
    ),
    Mutant(
        "Landlock without the network",
        "sandbox/confine.py",
        "_TCP = 0b11 ",
        "_TCP = 0 ",
        _WITHOUT_FILTER,
    ),
    Mutant(
        "Landlock without scopes",
        "sandbox/confine.py",
        "_SCOPES = 0b11 ",
        "_SCOPES = 0 ",
        (f"{_HOLDS}[landlock]",),
    ),
    Mutant(
        "Landlock opens what lies beside the hidden as a whole",
        "sandbox/confine.py",
        '            found.append((path, kind))\n            return\n        found.append((path, "list"))\n',
        "            found.append((path, kind))\n            return\n        found.append((path, kind))\n",
        (f"{_HIDDEN_FILE}[landlock]",),
    ),
    Mutant(
        "a program may gain privileges",
        "sandbox/confine.py",
        "    _prctl(38, 1)  # PR_SET_NO_NEW_PRIVS\n",
        "",
        (f"{_HOLDS}[landlock]",),
    ),
    Mutant(
        "root keeps its privileges",
        "sandbox/confine.py",
        "def _drop_privileges() -> None:\n",
        "def _drop_privileges() -> None:\n    return _prctl(38, 1)\n",
        (f"{_HOLDS}[landlock]",),
        root=True,
    ),
    Mutant(
        "files grow without end",
        "runners/launcher.py",
        "    _limit(resource.RLIMIT_FSIZE, FILE_SIZE_MAX)\n",
        "",
        ("tests/sandbox/test_jail.py::test_a_file_does_not_grow_beyond_the_limit[none]",),
    ),
    # -- what bwrap masks ---------------------------------------------------------------------
    Mutant(
        "hidden folders are not masked",
        "sandbox/jail.py",
        '            words[path] = ["--tmpfs", path]\n            closed.append(path)\n',
        "            pass\n",
        (f"{_FILES}[bwrap]",),
    ),
    Mutant(
        "hidden files are not masked",
        "sandbox/jail.py",
        '            words[path] = ["--ro-bind", "/dev/null", path]  # a device on a mount without devices\n',
        "            pass\n",
        (f"{_HIDDEN_FILE}[bwrap]",),
    ),
    Mutant(
        "what is readable is writable",
        "sandbox/jail.py",
        '            words[path] = ["--ro-bind", path, path]\n',
        '            words[path] = ["--bind", path, path]\n',
        (f"{_FILES}[bwrap]",),
    ),
    Mutant(
        "the kernel's settings are open",
        "sandbox/jail.py",
        '        **{path: ["--ro-bind-try", path, path] for path in _SETTINGS},\n',
        "",
        (f"{_HOLDS}[bwrap]",),
        root=True,
    ),
    Mutant(
        "a jail that was not made is one",
        "runners/local.py",
        '        if not (report["held"] or timed_out or interrupted):',
        "        if False:",
        (
            "tests/sandbox/test_jail.py::test_a_jail_that_can_not_be_made_is_not_the_candidates_crash",
        ),
    ),
]
