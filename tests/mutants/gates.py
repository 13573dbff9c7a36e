"""Safeguards of the gates: what a judge sees, whose its failures are, what is held."""

from __future__ import annotations

from tests.mutants.overlay import Mutant

_GATES = "tests/ratchet/test_gates.py"

MUTANTS = [
    Mutant(
        "evaluate may write what a trial left",
        "sandbox/sandbox.py",
        "        if fixed:\n",
        "        if False:\n",
        (f"{_GATES}::test_the_trials_files_are_read_only_for_evaluate[bwrap]",),
    ),
    Mutant(
        "bytecode that a trial left runs in evaluate",
        "ratchet/judges.py",
        "        remove_bytecode(self.slot.worktree.path, tuple(map(repo.from_top, inputs)))\n",
        "",
        (f"{_GATES}::test_a_trial_leaves_nothing_that_runs_in_evaluate[bwrap]",),
    ),
    Mutant(
        "what a trial lays in the place of the judge's files is not looked at",
        "ratchet/trial.py",
        " or self.judges.planted(self._laid_out)\n",
        "\n",
        (f"{_GATES}::test_a_trial_that_lays_a_module_in_the_place_of_the_judges_is_a_crash",),
    ),
    Mutant(
        "a file of metrics from before the trial counts",
        "workspace/worktree.py",
        "            remove_output(self.cwd, name)\n",
        "            pass\n",
        (f"{_GATES}::test_the_metric_is_read_from_a_file_that_is_never_an_earlier_ones",),
    ),
    Mutant(
        "links lead to a file of metrics",
        "workspace/outputs.py",
        "os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK",
        "os.O_RDONLY | os.O_NONBLOCK",
        (f"{_GATES}::test_what_stands_in_the_place_of_the_file",),
    ),
    Mutant(
        "a judge that can't judge now is held against the candidate",
        "ratchet/judges.py",
        "            if outcome.exit_code != _LATER or outcome.timed_out:\n",
        "            if True:\n",
        (f"{_GATES}::test_a_judge_that_can_not_judge_now_is_no_fault_of_the_candidates",),
    ),
    Mutant(
        "a judge that does not start is held against the candidate",
        "runners/launcher.py",
        '        os.write(status, b"0")\n',
        "",
        (f"{_GATES}::test_a_judge_that_does_not_start_is_no_fault_of_the_candidates",),
    ),
    Mutant(
        "what a check changed is not looked at",
        "ratchet/judges.py",
        "        changed = self.slot.worktree.tampered(candidate.commit, tree) or self.sandbox.broken()\n",
        "        changed = None\n",
        (f"{_GATES}::test_how_a_check_can_fail",),
    ),
    Mutant(
        "what is too good to be true is kept",
        "ratchet/judgement.py",
        '        verdict = Verdict("discard", "held", "held")\n',
        "        pass\n",
        ("tests/ratchet/test_held.py::test_it_is_held_shown_first_and_accepted",),
    ),
    Mutant(
        "a held change goes onto other files",
        "ratchet/acceptance.py",
        "        if run.repo.tree_id(parent) != run.repo.tree_id(incumbent.commit):\n",
        "        if False:\n",
        ("tests/ratchet/test_held.py::test_what_can_not_be_accepted",),
    ),
]
