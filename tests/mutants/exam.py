"""Safeguards of the exam: limits, arithmetic, audits, and what the workers compare."""

from __future__ import annotations

from tests.mutants.overlay import Mutant

_EXAM = "tests/harness/test_exam.py::"
_CHEATS = "tests/harness/test_exam_cheats.py::"
_QUESTIONS = "tests/harness/test_questions.py::"
_CONSPIRACY = "test_processes_that_tell_each_other_everything_are_found_by_the_blind_figure_alone"
_TIME = "tests/harness/test_timekeeper.py::"
_BEYOND = (
    "tests/harness/test_holes_exam.py::test_beyond_the_budget_one_batch_is_empty_and_the_next_is_refused",
)


def _void(name: str) -> tuple[str, ...]:
    return (f"{_EXAM}test_a_script_that_breaks_the_rules_has_no_score[{name}]",)


def _frame(name: str) -> tuple[str, ...]:
    return (f"{_EXAM}test_forged_frames_are_no_score_and_no_crash[{name}]",)


def _cheat(name: str) -> tuple[str, ...]:
    return (f"{_CHEATS}test_a_cheat_is_found[{name}]",)


def _audit(lie: str) -> tuple[str, ...]:
    return (
        f"tests/harness/test_holes_exam.py::test_each_part_of_an_audit_finds_a_lie_of_its_own[{lie}]",
    )


MUTANTS = [
    # -- training -----------------------------------------------------------------------------
    Mutant(
        "tokens without end",
        "harness/exam/granting.py",
        "        if self._limit is not None and self.served + tokens > self._limit:",
        "        if False:",
        _BEYOND,
    ),
    Mutant(
        "the batch beyond the limit holds rows",
        "harness/exam/granting.py",
        "            nothing = np.full((count, length + 1), self._data.manifest.bos, np.uint16)\n",
        "            nothing = self._source.rows(first, count)\n",
        _BEYOND,
    ),
    Mutant(
        "steps without end",
        "harness/exam/granting.py",
        '        if self._plan.role == "score" and budget.unit == "steps" and steps > budget.amount:',
        "        if False:",
        _void("steps that are not counted away"),
    ),
    Mutant(
        "seconds without end",
        "harness/exam/timekeeper.py",
        "        self.deadline = None if wall_s is None else self.first_grant + wall_s",
        "        self.deadline = None if wall_s is None else self.first_grant + 9 + wall_s",
        (f"{_TIME}test_on_a_gpu_seconds_are_on_the_wall",),
    ),
    Mutant(
        "steps limit where tokens should",
        "harness/exam/plan.py",
        '        if budget.unit == "steps" and steps and tokens:',
        "        if False:",
        (f"{_EXAM}test_a_budget_of_steps_is_one_of_tokens_once_a_baseline_tells_how_many",),
    ),
    Mutant(
        "processor time without end",
        "harness/exam/timekeeper.py",
        "        if used_s > limit.most_s:\n",
        "        if False:\n",
        (
            f"{_TIME}test_a_start_up_has_its_processor_time",
            f"{_TIME}test_training_has_its_own_and_is_told_what_is_left",
        ),
    ),
    Mutant(
        "the start-up's processor time is taken off the training's",
        "harness/exam/timekeeper.py",
        "        self._since_processor_s += used_s or 0.0\n",
        "",
        (f"{_TIME}test_training_has_its_own_and_is_told_what_is_left",),
    ),
    Mutant(
        "a trial that says nothing is not looked at",
        "harness/exam/timekeeper.py",
        "            times.append(now + max(WAKE_S, left_s))\n",
        "",
        (f"{_TIME}test_a_trial_that_says_nothing_is_looked_at_in_time",),
    ),
    Mutant(
        "children that another process reaped are not counted",
        "harness/exam/processor.py",
        "        own, reaped = int(fields[11]) + int(fields[12]), int(fields[13]) + int(fields[14])\n",
        "        own, reaped = int(fields[11]) + int(fields[12]), 0\n",
        (
            "tests/harness/test_processor.py::test_the_tree_is_counted_by_looking_at_it[many short children]",
        ),
    ),
    Mutant(
        "children that nobody reaps are not counted",
        "harness/exam/processor.py",
        "            if any(deaf for _, _, deaf in known.values()):\n",
        "            if False:\n",
        (
            "tests/harness/test_processor.py::test_the_tree_is_counted_by_looking_at_it[short children that "
            "nobody reaps]",
        ),
    ),
    Mutant(
        "rows in the order that the trial wants",
        "harness/exam/granting.py",
        "        self._order = Order(seed, len(self._train))\n",
        "        self._order = Order(0, len(self._train))\n",
        (f"{_EXAM}test_rows_come_in_the_order_of_the_examiners_seed",),
    ),
    Mutant(
        "a model before any training",
        "harness/exam/granting.py",
        '            raise VoidError("exam", "a model was handed over before any training batch '
        'was granted")',
        "            self._time.first_grant = at",
        _frame("a hand-over before any row"),
    ),
    # -- the examination ----------------------------------------------------------------------
    Mutant(
        "nan among the logits",
        "harness/exam/losses.py",
        "            if not (np.isfinite(top).all() and np.isfinite(part.min())):",
        "            if False:",
        _frame("inf"),
    ),
    Mutant(
        "losses that overflow",
        "harness/exam/losses.py",
        "    if not np.isfinite(out).all():",
        "    if False:",
        _frame("huge logits"),
    ),
    Mutant(
        "logits that are believed to be normalised",
        "harness/exam/losses.py",
        "np.log(powers.sum(axis=1)) + (top - at_target)",
        "-at_target",
        (f"{_EXAM}test_losses_and_divergences_are_those_of_torch_in_double_precision",),
    ),
    Mutant(
        "an audit of one position is not looked at",
        "harness/exam/scorer.py",
        "            and np.abs(apart).max() <= LOSS_TOLERANCE\n",
        "",
        _audit("two that cancel each other"),
    ),
    Mutant(
        "the mean of an audit is not looked at",
        "harness/exam/scorer.py",
        "            and abs(apart.mean()) <= MEAN_TOLERANCE\n",
        "",
        _audit("a little everywhere"),
    ),
    Mutant(
        "losses below zero",
        "harness/exam/scorer.py",
        "            and found.min() >= -MEAN_TOLERANCE\n",
        "",
        _audit("below zero, not audited"),
    ),
    Mutant(
        "losses without end",
        "harness/exam/scorer.py",
        "            np.isfinite(found).all()\n            and found.min()",
        "            found.min()",
        _audit("no number, not audited"),
    ),
    Mutant(
        "an examination of ten times the baseline's seconds",
        "harness/exam/plan.py",
        "        return None if seconds is None else BUSY_TIMES * seconds + BUSY_S",
        "        return None if seconds is None else 10 * seconds + BUSY_S",
        (f"{_EXAM}test_what_is_forgiven_follows_from_the_baseline",),
    ),
    Mutant(
        "a frame of any size",
        "harness/protocol.py",
        "not 0 <= size <= most_bytes",
        "size < 0",
        _frame("a payload nobody asked for"),
    ),
    Mutant(
        "the tensors are others than were handed over",
        "harness/exam/checkpoint.py",
        "    if joint_digest(digests) != handed.digest:",
        "    if False:",
        (
            "tests/harness/test_holes_exam.py::test_tensors_that_were_not_handed_over_are_no_checkpoint",
        ),
    ),
    Mutant(
        "a second examination",
        "harness/trial/answering.py",
        '            raise HarnessError("this trial was examined: `evaluate` may be called once")',
        "            pass",
        (f"{_EXAM}test_after_the_hand_over_there_is_no_second_examination_and_no_row",),
    ),
    Mutant(
        "data that changes meanwhile",
        "harness/exam/examiner.py",
        "        data.check_untouched()\n",
        "",
        (f"{_EXAM}test_data_that_changes_meanwhile_is_no_data",),
    ),
    Mutant(
        "an examiner that outlives the tool",
        "harness/exam/examiner.py",
        "    threading.Thread(target=_end_with_stdin, args=(line,), daemon=True).start()\n",
        "",
        (f"{_EXAM}test_the_examiner_ends_with_the_tool",),
    ),
    # -- the workers --------------------------------------------------------------------------
    Mutant(
        "a fresh process may make another model",
        "harness/exam/checkpoint.py",
        "        if saved != tensors:",
        "        if False:",
        (f"{_EXAM}test_a_worker_whose_model_is_another_is_void",),
    ),
    Mutant(
        "replay compares nothing",
        "harness/exam/checking.py",
        "        return float(np.abs(again - scored)[counts].mean(dtype=np.float64)), again",
        "        return float(np.abs(again - again)[counts].mean(dtype=np.float64)), again",
        _cheat("keeps a state outside the checkpoint"),
    ),
    Mutant(
        "rows keep their company",
        "harness/exam/checking.py",
        "        rows = np.abs(found[: len(sample)] - again[sample])[counts].mean(dtype=np.float64)",
        "        rows = np.abs(again[sample] - again[sample])[counts].mean(dtype=np.float64)",
        _cheat("leaks across rows"),
    ),
    Mutant(
        "rows keep their places",
        "harness/exam/checking.py",
        "        order = rng.permutation(len(mixed))\n",
        "        order = np.arange(len(mixed))\n",
        ("tests/harness/test_holes_exam.py::test_rows_of_full_batches_are_asked_in_other_company",),
    ),
    Mutant(
        "the vault is the validation rows",
        "harness/exam/checking.py",
        "        gap = bits_per_byte(nats, data.size_bytes(data.vault[held])) - bpb",
        "        gap = 0.0",
        _cheat("was trained on the validation rows"),
    ),
    Mutant(
        "nothing foreign after the cut",
        "harness/exam/questions.py",
        "    return questions, np.where(before, true_rows(data, questions), ends).astype(np.uint16)",
        "    return questions, true_rows(data, questions)",
        _cheat("peeks always"),
    ),
    Mutant(
        "twins are not compared",
        "harness/exam/checking.py",
        "        found = part.picked[here].reshape(-1, self.first.shape[2])\n",
        "        found = known\n",
        _cheat("peeks always"),
    ),
    Mutant(
        "questions about training rows that the trial was granted",
        "harness/exam/questions.py",
        "        TRAIN: _some(np.flatnonzero(~granted), UNSEEN_TRAIN_ROWS, rng),",
        "        TRAIN: _some(np.arange(len(granted)), UNSEEN_TRAIN_ROWS, rng),",
        (f"{_QUESTIONS}test_no_training_row_is_asked_that_was_granted",),
    ),
    Mutant(
        "ends of rows that are asked about",
        "harness/exam/questions.py",
        "    others = np.setdiff1d(np.arange(len(data.train)), drawn[TRAIN])",
        "    others = drawn[TRAIN]",
        (f"{_QUESTIONS}test_the_first_worker_is_shown_no_true_end",),
    ),
    Mutant(
        "the same rows of the vault each time",
        "harness/exam/questions.py",
        "    return rng.permutation(places)[:most]",
        "    return places[:most]",
        (f"{_QUESTIONS}test_the_sample_is_drawn_anew",),
    ),
    Mutant(
        "what was granted is not noted",
        "harness/exam/granting.py",
        "        self.granted[which] = True\n",
        "",
        (f"{_QUESTIONS}test_what_a_trial_was_granted_is_noted",),
    ),
    Mutant(
        "rows of one kind thin what another shows",
        "harness/exam/checking.py",
        "        for kind in (VAL, TRAIN, VAULT):\n            apart = self._apart[self.questions.of(kind)]",
        "        for kind in (VAL,):\n            apart = self._apart",
        (f"{_QUESTIONS}test_each_kind_of_rows_has_a_mean_of_its_own",),
    ),
    Mutant(
        "what is predicted blind is not looked at",
        "harness/exam/checking.py",
        "        blind = losses(twin.first[which, 0], targets[row, cut]) - control[row, cut]",
        "        blind = own[row, cut] - control[row, cut]",
        (f"{_CHEATS}{_CONSPIRACY}",),
    ),
    Mutant(
        "an absurd answer widens what is allowed",
        "harness/exam/checking.py",
        "        blind = blind.clip(-CLIP_NATS, CLIP_NATS)[targets[row, cut] != self._bos]",
        "        blind = blind[targets[row, cut] != self._bos]",
        (f"{_QUESTIONS}test_absurd_answers_buy_no_tolerance",),
    ),
    Mutant(
        "the blind figure is not judged",
        "rules/probes.py",
        '    if not readings["blind"] <= noise:',
        "    if False:",
        ("tests/rules/test_probes.py::test_what_is_predicted_worse_blind_is_a_look_ahead",),
    ),
    Mutant(
        "the true ends are asked first",
        "ratchet/verification.py",
        '_WORKERS: tuple[Role, Role] = ("foreign", "true")',
        '_WORKERS: tuple[Role, Role] = ("true", "foreign")',
        ("tests/ratchet/test_verification.py::test_the_order_of_a_verification",),
    ),
    Mutant(
        "files stay in memory between two workers",
        "ratchet/verification.py",
        "            trials.forget_files()\n            result",
        "            result",
        ("tests/ratchet/test_verification.py::test_the_order_of_a_verification",),
    ),
]
