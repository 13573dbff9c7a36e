"""Safeguards of a run: what a candidate may change, how its trial ends, what its log and files say."""

from __future__ import annotations

from tests.mutants.overlay import Mutant

_LEGIBLE = ("tests/rules/test_obfuscation.py",)
_METRICS = (
    "tests/rules/test_metrics.py::test_what_is_no_metric",
    "tests/rules/test_metrics.py::test_the_kinds_of_crash",
)
_PROBES = ("tests/rules/test_probes.py",)
_CRASHES = (
    "tests/ratchet/test_trial.py::test_every_kind_of_crash_is_told_apart_and_the_run_goes_on",
)
_WHOSE = "tests/ratchet/test_whose_fault.py"
_STOPS = "tests/ratchet/test_stops.py"
_CACHES = "tests/ratchet/test_compiled.py::test_what_a_trial_changed_is_not_there_for_the_next"
_LEVEL_ONE = ("tests/sandbox/test_selftest.py::test_no_jail_is_level_one",)

MUTANTS = [
    # -- what a candidate may change ----------------------------------------------------------
    Mutant(
        "who does not listen to its examiner was only slow",
        "ratchet/evaluation.py",
        'crash.failure in ("exit", "timeout") and not',
        'crash.failure in ("exit",) and not',
        ("tests/ratchet/test_evaluation.py::test_the_examiner_knows_why_it_ended_a_trial",),
    ),
    Mutant(
        "literals without end",
        "rules/volume.py",
        "_MOST = Volume(MOST_SOURCE, MOST_LITERALS, MOST_REMARKS, MOST_PACKED)",
        "_MOST = Volume(MOST_SOURCE, MOST_PACKED * 9, MOST_REMARKS, MOST_PACKED * 9)",
        ("tests/rules/test_volume.py::test_a_table_of_16_kb_is_refused_in_any_dress[short lists]",),
    ),
    Mutant(
        "comments carry what they like",
        "rules/volume.py",
        '        remarks=len(zlib.compress(b"\\n".join(remarks), 9)),\n',
        "        remarks=0,\n",
        ("tests/rules/test_volume.py::test_a_table_of_16_kb_is_refused_in_any_dress[comments]",),
    ),
    Mutant(
        "what earlier keeps brought is free",
        "ratchet/candidate.py",
        "        reasons = overweight(run.repo, run.rules, baseline, tree, edits)\n",
        "        reasons = overweight(run.repo, run.rules, run.incumbent.commit, tree, edits)\n",
        (
            "tests/ratchet/test_volume_of_a_run.py::test_a_table_grows_over_several_keeps_and_is_refused",
        ),
    ),
    Mutant(
        "invisible characters pass",
        "rules/guard.py",
        "    reason = obfuscation.invisible_character(old, new, code=python)\n",
        "    reason = None\n",
        _LEGIBLE,
    ),
    Mutant(
        "names of two scripts pass",
        "rules/guard.py",
        "        reason = reason or obfuscation.mixed_scripts(old, new)\n",
        "",
        _LEGIBLE,
    ),
    Mutant(
        "data in the place of code passes",
        "rules/guard.py",
        "        reason = reason or (obfuscation.embedded_data(old, new) if code_only else None)\n",
        "",
        _LEGIBLE,
    ),
    Mutant(
        "a file may grow without end",
        "rules/obfuscation.py",
        "    if grown > GROWTH_BYTES:",
        "    if False:",
        _LEGIBLE,
    ),
    Mutant(
        "protected symbols may change",
        "rules/guard.py",
        "    if path in rules.protected and old_mode is not None:",
        "    if False:",
        ("tests/rules/test_guard.py::test_protected_symbols_stay_byte_for_byte",),
    ),
    Mutant(
        "what is around a mutable body may change",
        "rules/guard.py",
        "        if language.around(old, symbols) == language.around(new, symbols):",
        "        if True:",
        ("tests/rules/test_guard.py::test_the_rest_may_not",),
    ),
    Mutant(
        "links pass",
        "rules/guard.py",
        '        if mode == "120000":\n',
        "        if False:\n",
        ("tests/rules/test_guard.py::test_plain_files_only",),
    ),
    Mutant(
        "git's own files pass",
        "rules/guard.py",
        '    if any(part.startswith((".git", "git~")) for part in folded):',
        "    if False:",
        ("tests/rules/test_guard.py::test_never",),
    ),
    # -- how a trial ends ---------------------------------------------------------------------
    Mutant(
        "what left the session lives on",
        "runners/launcher.py",
        "    survivors = sweep(group)\n",
        "    survivors = 0\n",
        _LEVEL_ONE,
    ),
    Mutant(
        "orphans are not adopted",
        "runners/launcher.py",
        "    become_subreaper()\n    for number",
        "    for number",
        _LEVEL_ONE,
    ),
    Mutant(
        "the end of the supervisor is no order",
        "runners/launcher.py",
        "            order = os.read(0, 512).split()\n",
        "            order = os.read(0, 512).split()\n            if not order:\n                continue\n",
        ("tests/ratchet/test_trial.py::test_a_trial_dies_with_its_supervisor",),
    ),
    Mutant(
        "no deadline",
        "runners/local.py",
        "                    timed_out = seconds >= spec.timeout_s\n",
        "",
        ("tests/ratchet/test_holes.py::test_a_trial_ends_at_its_deadline",),
    ),
    Mutant(
        "what a killed launcher left lives on",
        "runners/local.py",
        "            survivors=self._sweep(),\n",
        "            survivors=0,\n",
        ("tests/ratchet/test_trial.py::test_a_trial_that_kills_its_launcher_is_void[0]",),
    ),
    Mutant(
        "a launcher that was killed is no fault",
        "runners/local.py",
        "            launcher_killed=not interrupted,",
        "            launcher_killed=False,",
        ("tests/ratchet/test_trial.py::test_a_trial_that_kills_its_launcher_is_void[0]",),
    ),
    # -- what a trial sees --------------------------------------------------------------------
    Mutant(
        "a trial inherits every variable",
        "runners/environment.py",
        '    env = {k: v for k, v in outer.items() if k in passed or k.startswith("LC_")}',
        "    env = dict(outer)",
        ("tests/ratchet/test_holes.py::test_a_trial_inherits_what_is_named_and_nothing_else",),
    ),
    Mutant(
        "the supervisor's variables stay where /proc shows them",
        "runners/hygiene.py",
        "        ctypes.memset(start, 0, end - start)\n",
        "        pass\n",
        _LEVEL_ONE,
        root=True,  # to others the process is closed as well
    ),
    # -- what a trial left behind -------------------------------------------------------------
    Mutant(
        "what a trial adds to the compilers' caches stays",
        "ratchet/compiled.py",
        "            if not self._stands(below, known):\n",
        "            if below in known and not self._stands(below, known):\n",
        (f"{_CACHES}[a file more-False]",),
    ),
    Mutant(
        "a file of the compilers' caches is known by size and time of writing",
        "ratchet/compiled.py",
        "        status.st_ctime_ns,\n",
        "",
        (f"{_CACHES}[the same size, the times put back-False]",),
    ),
    Mutant(
        "bytecode of what a candidate may change is kept",
        "ratchet/compiled.py",
        '                own = self._live / "bytecode" / place.lstrip("/")\n',
        '                own = self._live / "nothing"\n',
        (
            "tests/ratchet/test_compiled.py::"
            "test_bytecode_is_made_once_and_not_for_what_a_candidate_may_change",
        ),
    ),
    Mutant(
        "tracked files are not looked at",
        "workspace/worktree.py",
        "        return self.altered(tree) or self._copies",
        "        return self._copies",
        _CRASHES,
    ),
    Mutant(
        "HEAD is not looked at",
        "workspace/worktree.py",
        '            return "HEAD"\n',
        "            pass\n",
        (
            "tests/ratchet/test_edges.py::test_what_a_trial_does_to_its_own_worktree_is_a_crash[no HEAD]",
        ),
    ),
    Mutant(
        "inputs are not looked at",
        "workspace/worktree.py",
        "        return self.altered(tree) or self._copies.changed()\n",
        "        return self.altered(tree)\n",
        _CRASHES,
    ),
    Mutant(
        "hard links pass",
        "workspace/worktree.py",
        "            if info.st_nlink != 1:",
        "            if False:",
        _CRASHES,
    ),
    Mutant(
        "what no trial may change is not looked at",
        "ratchet/trial.py",
        "        return tampered or self.sandbox.broken() or",
        "        return tampered or",
        ("tests/sandbox/test_sandbox.py::test_without_a_jail_what_a_trial_did_to_git_is_seen",),
    ),
    Mutant(
        "the shell's PWD goes on",
        "runners/local.py",
        '            env={**spec.env, "PWD": str(spec.cwd)},',
        "            env=spec.env,",
        (
            "tests/lab/test_worktrees.py::"
            "test_every_command_of_a_trial_and_the_program_are_told_where_they_stand",
        ),
    ),
    Mutant(
        "what a program changed of the user's own is not looked at",
        "ratchet/workbench.py",
        "            strays = before.changed(self._watch.picture())\n",
        "            strays = ()\n",
        ("tests/researchers/test_trespass.py::test_a_program_that_failed_is_seen_too",),
    ),
    Mutant(
        "the credentials of cargo's registry are opened with it",
        "sandbox/toolchains.py",
        "        hidden += [",
        "        [",
        (
            "tests/sandbox/test_toolchains.py::"
            "test_rustup_is_opened_without_the_keys_of_its_registry",
        ),
    ),
    # -- what would stop the run --------------------------------------------------------------
    Mutant(
        "a fault of the machine is held against a candidate",
        "ratchet/faults.py",
        '            self.run.note("incumbent", n=candidate.number, runs=False,',
        '            self.run.note("incumbent", n=candidate.number, runs=True,',
        (f"{_WHOSE}::test_a_fault_with_both_stops_the_run_and_no_candidate_is_blamed[sandbox]",),
    ),
    Mutant(
        "a fault that lies outside is counted",
        "ratchet/faults.py",
        " or isinstance(fault, OutsideError):",
        ":",
        (f"{_WHOSE}::test_a_fault_that_lies_outside_is_not_counted",),
    ),
    Mutant(
        "a candidate with faults is tried again before the incumbent",
        "ratchet/faults.py",
        "            pending.incumbent_runs is False\n            or (",
        "            False\n            or (",
        (f"{_WHOSE}::test_what_breaks_the_machine_for_all_is_not_tried_for_ever",),
    ),
    Mutant(
        "an examiner is not hung up on",
        "ratchet/examiner.py",
        "            self.trials_end.shutdown(socket.SHUT_RDWR)\n",
        "            pass\n",
        (f"{_STOPS}::test_an_examiner_is_not_kept_waiting",),
    ),
    Mutant(
        "a log that a trial closed stays closed",
        "ratchet/trial.py",
        "        open_to_us(log)\n",
        "",
        (f"{_STOPS}::test_what_an_ordinary_user_is_stopped_by",),
    ),
    Mutant(
        "free space is looked at while a trial's files are there",
        "ratchet/trial.py",
        "        self.slot.worktree.clean(self._laid_out, anew=bool(self.run.config.task.exam))\n",
        "",
        (f"{_STOPS}::test_a_disk_that_a_candidate_fills_is_its_own_doing[none]",),
    ),
    Mutant(
        "what a killed trial left fills the disk",
        "commands/session.py",
        "        run.make_room()\n",
        "",
        (f"{_STOPS}::test_what_a_killed_trial_left_does_not_fill_the_disk_for_ever",),
    ),
    Mutant(
        "flags that forbid even root stay",
        "workspace/removal.py",
        "                _take_flags(each)\n",
        "                pass\n",
        ("tests/workspace/test_removal.py::test_flags_that_forbid_even_root[i]",),
    ),
    Mutant(
        "what is mounted is removed with the folder",
        "workspace/removal.py",
        "    detach_mounts(path)\n    moved = 0\n",
        "    moved = 0\n",
        ("tests/workspace/test_removal.py::test_a_mount_is_detached_and_what_is_behind_it_stays",),
    ),
    # -- what a log says ----------------------------------------------------------------------
    Mutant(
        "the first of two summaries counts",
        "rules/metrics.py",
        "    if len(claims) > 1:",
        "    if False:",
        _METRICS,
    ),
    Mutant(
        "nan is a value",
        "rules/metrics.py",
        "    if _NOT_FINITE.fullmatch(text):\n"
        '        return Crash("nan", f"{config.name} is {text}")\n'
        "    if not _NUMBER.fullmatch(text):",
        "    if not (_NUMBER.fullmatch(text) or _NOT_FINITE.fullmatch(text)):",
        _METRICS,
    ),
    Mutant(
        "what looks like a number is one",
        "rules/metrics.py",
        "    if not _NUMBER.fullmatch(text):\n        return Crash",
        "    if not _NUMBER.match(text):\n        return Crash",
        _METRICS,
    ),
    Mutant(
        "numbers beyond all bounds are values",
        "rules/metrics.py",
        "    value = float(text)\n    if not math.isfinite(value):",
        "    value = float(text)\n    if False:",
        _METRICS,
    ),
    Mutant(
        "a score of zero is one",
        "rules/metrics.py",
        '    if config.name == "val_bpb" and value <= 0.0:',
        "    if False:",
        _METRICS,
    ),
    Mutant(
        "exit codes do not count",
        "rules/metrics.py",
        "    if outcome.exit_code != 0:",
        "    if False:",
        _METRICS,
    ),
    # -- the probes before a keep -------------------------------------------------------------
    Mutant(
        "no probe replay",
        "rules/probes.py",
        '_PROBES = ("replay", "rows", "twin")',
        '_PROBES = ("rows", "twin")',
        _PROBES,
    ),
    Mutant(
        "no probe rows",
        "rules/probes.py",
        '_PROBES = ("replay", "rows", "twin")',
        '_PROBES = ("replay", "twin")',
        _PROBES,
    ),
    Mutant(
        "no probe twin",
        "rules/probes.py",
        '_PROBES = ("replay", "rows", "twin")',
        '_PROBES = ("replay", "rows")',
        _PROBES,
    ),
    Mutant(
        "no probe vault",
        "rules/probes.py",
        "    if calibration is not None:\n        gain",
        "    if False:\n        gain",
        _PROBES,
    ),
    Mutant(
        "nan passes the probes",
        "rules/probes.py",
        "        if not readings[probe] <= allowed:",
        "        if readings[probe] > allowed:",
        _PROBES,
    ),
    # -- the sandbox of a run -----------------------------------------------------------------
    Mutant(
        "a run goes on where its sandbox is gone",
        "sandbox/sandbox.py",
        "        if was != self.mark:",
        "        if False:",
        ("tests/sandbox/test_sandbox.py::test_another_level_than_the_baselines_stops_the_run",),
    ),
    Mutant(
        "nobody watches, and nothing is said",
        "commands/session.py",
        "        if unwatched and sandbox.self_test.level <= 1:",
        "        if False:",
        (
            "tests/sandbox/test_sandbox.py::test_a_run_that_nobody_watches_needs_a_sandbox_or_a_word",
        ),
    ),
    Mutant(
        "a worktree keeps what the trial before left on it",
        "workspace/worktree.py",
        "        if anew:\n            self._make(commit)\n",
        "",
        (
            "tests/ratchet/test_holes.py::test_a_worktree_that_is_made_anew_tells_nothing_of_the_trial_before",
        ),
    ),
    Mutant(
        "what a kill in a verification left is not looked for",
        "ledger/state.py",
        "        self._pending(record).trial = record  # to clean up after: it is the same try\n",
        "        pass\n",
        ("tests/commands/test_run.py::test_what_a_kill_in_a_verification_left_is_ended_too",),
    ),
    Mutant(
        "a gain that took twice the time is not flagged",
        "rules/keep.py",
        "        if seconds > 2 * usual_s + 10:",
        "        if False:",
        ("tests/rules/test_keep.py::test_time_that_no_budget_counts",),
    ),
]
