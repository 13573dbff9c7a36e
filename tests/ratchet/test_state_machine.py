"""A lab in the hands of a careless person on a failing machine, against a model of what must hold.

The rules do what happens in a night: experiments, kills, power cuts, full disks, a damaged journal's
tail, deleted tables, commits, edits, switches, resets, cleanings, a second supervisor, a jumping
clock. After each of them: every row once and right, every kept commit in the branch, every candidate
behind its ref, no commit and no edit of the user's lost, and, behind a command that ran to its end,
tables that say what the journal says. FAULTS=all takes more and longer nights.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from autoresearch.ledger import journal
from tests import labs
from tests.faults import HERE, preloaded
from tests.faults.model import ANSWERS, CONFIG, STAYS, TRIAL, Model, Row
from tests.faults.scene import JOURNAL, ONE, RUN, cut_off, leftovers
from tests.sizes import NIGHTS, SMOKE_NIGHTS, STEPS

SHARES = 2
BRANCH = "autoresearch/t"

GARBAGE = [b"\0" * 50, b'deadbeef {"kind":"resu', b"ffffffff {}\n", b"\n"]
TABLES = [
    "results.tsv",
    "musings.md",
    *[f".git/autoresearch/t/{name}" for name in ("results.tsv", "musings.md")],
]
DEEDS = [
    "look", "edit value.txt", "edit other.txt", "edit mine.txt", "commit", "put_back",
    "switch main", "switch " + BRANCH, "switch " + BRANCH, "switch --detach", "reset", "clean",
]  # fmt: skip
FAULTS = ["kill", "kill", "power", "torn", "full", "enospc", "edquot", "eio", "eio4"]
MOVES = st.one_of(
    st.tuples(st.just("experiment"), st.sampled_from([0.0, 0.0, -1e6, -60.0, 3600.0, 1e7])),
    st.tuples(st.just("fault"), st.sampled_from(FAULTS), st.integers(1, 400)),
    st.tuples(st.just("second"), st.integers(30, 150)),
    st.tuples(st.just("new_baseline")),
    st.tuples(st.just("damage"), st.sampled_from([*GARBAGE, "half a line", *TABLES])),
    st.tuples(st.just("person"), st.sampled_from(DEEDS)),
    st.tuples(st.just("person"), st.sampled_from(DEEDS)),
)


class Server:
    """The process that runs commands under faults."""

    def __init__(self, work: Path) -> None:
        self.lab = work / "lab"
        env = preloaded(work)
        self._process = subprocess.Popen(
            [sys.executable, HERE / "server.py", self.lab],
            env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def ask(self, do: str, **more: Any) -> dict[str, Any]:
        assert self._process.stdin is not None and self._process.stdout is not None
        print(json.dumps({"do": do, **more}), file=self._process.stdin, flush=True)
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer

    def close(self) -> None:
        self._process.communicate()

    def git(self, *arguments: str) -> str:
        done = subprocess.run(
            ["git", *arguments], cwd=self.lab, check=True, capture_output=True, text=True
        )
        return done.stdout.rstrip("\n")


class Night(RuleBasedStateMachine):
    """One lab, from its `init` on."""

    server: Server

    @initialize()
    def begin(self) -> None:
        self.server.ask("fresh")
        self.model = Model()
        self.clock = 0.0
        self.lab, self.git = self.server.lab, self.server.git
        self.journal = self.lab / JOURNAL

    # -- what the model is compared with -----------------------------------------------------

    def records(self, *kinds: str) -> list[dict[str, Any]]:
        """The journal's records, all or of some kinds."""
        everything = journal.read(self.journal)
        return [record for record in everything if not kinds or record["kind"] in kinds]

    def results(self) -> list[dict[str, Any]]:
        return self.records("result")

    def command(self, *arguments: str, fault: tuple[str, int] | None = None) -> dict[str, Any]:
        answer = self.server.ask("command", arguments=arguments, clock=self.clock, fault=fault)
        assert "Traceback" not in answer["output"] and answer["code"] in (0, 1, -9), answer[
            "output"
        ]
        self.model.dirty = answer["code"] != 0
        return answer

    def advance(self, most: int) -> None:
        """Let the model do as many experiments as the journal has; at most that many."""
        count = len(self.results())
        assert len(self.model.rows) <= count <= len(self.model.rows) + most + (not self.model.rows)
        while len(self.model.rows) < count:
            if self.model.rows:
                self.model.experiment()
            else:
                self.model.baseline()

    @property
    def head(self) -> str:
        """The branch that is checked out, or "" where HEAD is detached."""
        with contextlib.suppress(subprocess.CalledProcessError):
            return self.git("symbolic-ref", "--short", "HEAD")
        return ""

    def tip(self) -> str:
        return self.git("rev-parse", BRANCH)

    # -- the run ------------------------------------------------------------------------------

    @rule(move=MOVES)
    def go_on(self, move: tuple[Any, ...]) -> None:
        """One rule for all moves: Hypothesis leaves rules out of a whole night, and none may be."""
        name, *arguments = move
        with contextlib.suppress(subprocess.CalledProcessError):  # git: an edit, or a left lock
            getattr(self, name)(*arguments)

    def experiment(self, jump_s: float) -> None:
        """One experiment, after the clock was set."""
        self.clock += jump_s
        before = len(self.model.rows)
        answer = self.command(*ONE)
        if self.model.user_tip:
            assert answer["code"] == 1
            for words in ("moved by hand", "autoresearch init TAG --from", "autoresearch baseline"):
                assert words in answer["output"]
            assert len(self.results()) == before
            return
        assert answer["code"] == 0, answer["output"]
        self.model.half = self.model.half and self.head != BRANCH
        self.advance(1)
        assert len(self.model.rows) == before + 1 + (before == 0)

    def fault(self, kind: str, at: int) -> None:
        if cut_off(self.lab) >= 2:
            return  # the third time it is a crash, by rule
        answer = self.command(*RUN, "--max", "2", fault=(kind, at))
        self.advance(2)
        self.model.half = self.model.half or answer["code"] != 0

    def second(self, at: int) -> None:
        """A second supervisor, while the first is at work."""
        if self.model.user_tip:
            return
        answer = self.command(*ONE, fault=("second", at))
        assert answer["code"] == 0, answer["output"]
        self.advance(1)
        if "second" in answer:
            code, output = answer["second"]
            assert code == 1 and "driven by another process" in output

    def new_baseline(self) -> None:
        """One way out of a branch that was moved by hand: the user's commit as the next baseline."""
        if not self.model.user_tip:
            self.switch(BRANCH)
            return self.commit()
        asked = len(self.records("answer"))
        answer = self.command("baseline")
        assert answer["code"] == 0, answer["output"]
        assert self.model.next_answer <= asked <= self.model.next_answer + 3
        self.model.next_answer = asked  # an experiment that was under way is overtaken
        self.model.user_tip = ""
        self.model.baseline()

    # -- damage -------------------------------------------------------------------------------

    def damage(self, what: bytes | str) -> None:
        """The journal's tail torn, or a table deleted."""
        if isinstance(what, bytes):
            if self.sound():
                with self.journal.open("ab") as file:
                    file.write(what)
        elif what in TABLES:
            (self.lab / what).unlink(missing_ok=True)
            self.model.dirty = True
        elif self.sound() and self.records()[-1]["kind"] in ("stop", "session"):
            content = self.journal.read_bytes()
            last = content.rindex(b"\n", 0, len(content) - 1) + 1
            self.journal.write_bytes(content[: (last + len(content)) // 2])

    def sound(self) -> bool:
        """Whether the journal has no torn tail yet: a crash tears one line, and the next start cuts it."""
        lines = self.journal.read_bytes().split(b"\n")
        return lines[-1] == b"" and len(lines) - 1 == len(self.records())

    # -- a person -----------------------------------------------------------------------------

    def person(self, deed: str) -> None:
        """What somebody does in the lab."""
        verb, _, name = deed.partition(" ")
        getattr(self, verb)(*filter(None, [name]))

    def look(self) -> None:
        dirty = self.model.dirty
        for command in ("status", "report", "show"):
            words = (command, "0") if command == "show" else (command,)
            code = self.command(*words, "--tag", "t")["code"]
            assert code == (1 if command == "show" and not self.model.rows else 0)
        self.model.dirty = dirty

    def edit(self, name: str) -> None:
        self.model.edited += 1
        self.model.edits[name] = f"99999.000000\nmine {self.model.edited}\n"
        (self.lab / name).write_text(self.model.edits[name])

    def commit(self) -> None:
        """The file that no candidate may touch is committed, wherever HEAD stands."""
        if self.model.half or self.model.user_tip:
            return
        self.edit("other.txt")
        self.git("commit", "-q", "-m", "by hand", "--", "other.txt")
        del self.model.edits["other.txt"]
        commit = self.git("rev-parse", "HEAD")
        self.model.user_commits.append(commit)
        if self.head == BRANCH:
            self.model.user_tip = commit if self.model.rows else ""
        elif not self.head:
            self.git("branch", f"mine-{len(self.model.user_commits)}")

    def put_back(self) -> None:
        """The person's own way out: the commit goes to a branch of theirs."""
        if self.model.user_tip and self.head != BRANCH:
            kept = self.results()[self.model.kept[-1]]["commit"]
            self.git("branch", f"mine-{len(self.model.user_commits)}", self.model.user_tip)
            self.git("update-ref", f"refs/heads/{BRANCH}", kept)
            self.model.user_tip = ""

    def switch(self, where: str) -> None:
        self.git("checkout", "-q", where)

    def reset(self) -> None:
        self.git("reset", "-q", "--hard")
        self.model.half = False
        for name in ("value.txt", "other.txt"):
            self.model.edits.pop(name, None)

    def clean(self) -> None:
        self.git("clean", "-fdxq")
        self.model.edits.pop("mine.txt", None)
        self.model.dirty = True

    # -- what must hold -----------------------------------------------------------------------

    @invariant()
    def rows_are_right(self) -> None:
        found = [Row(r["n"], r["status"], r["value"], r["description"]) for r in self.results()]
        assert found == self.model.rows

    @invariant()
    def commits_are_there(self) -> None:
        results = self.results()
        refs = dict(
            line.split(" ")[::-1]
            for line in self.git("for-each-ref", "--format=%(objectname) %(refname)").splitlines()
        )
        named = {r["n"]: refs.get(f"refs/autoresearch/t/{r['n']:04d}") for r in results}
        if not self.model.dirty:
            assert named == {r["n"]: r["commit"] for r in results}
        reachable = set(self.git("rev-list", "--all").splitlines())
        assert reachable >= {r["commit"] for r in results} | set(self.model.user_commits)
        assert reachable >= {r["commit"] for r in self.records("candidate")}
        if self.model.user_tip or not self.model.rows:
            return
        kept = [results[number]["commit"] for number in self.model.kept]
        tip = refs[f"refs/heads/{BRANCH}"]
        # The branch follows its journal at once, or with the next command.
        assert tip == kept[-1] or (self.model.dirty and tip in [*kept[-3:], self.base()])
        if not self.model.dirty:
            assert set(self.git("rev-list", BRANCH).splitlines()) >= set(kept)

    def base(self) -> str:
        base: str = self.records("run")[0]["base"]
        return base

    @invariant()
    def edits_are_there(self) -> None:
        for name, content in self.model.edits.items():
            assert (self.lab / name).read_text() == content

    @invariant()
    def checkout_is_whole(self) -> None:
        if self.model.dirty or self.model.half:
            return
        status = self.git("status", "--porcelain").splitlines()
        assert {line[3:] for line in status} <= self.model.edits.keys()

    @invariant()
    def tables_are_the_journal(self) -> None:
        if self.model.dirty or not self.model.rows:
            return
        lines = (self.lab / "results.tsv").read_text().splitlines()[1:]
        results = self.results()
        assert len(lines) == len(results)
        for line, result in zip(lines, results, strict=True):
            commit, value, _, status, description = line.split("\t")
            assert commit == result["commit"][:7] and status == result["status"]
            assert float(value) == (result["value"] or 0.0)
            assert description == result["description"]

    def teardown(self) -> None:
        if not hasattr(self, "lab"):
            return
        assert leftovers(self.lab) == []
        assert "error" not in self.git("fsck", "--no-dangling", "--no-progress")


@pytest.fixture
def server() -> Iterator[Server]:
    place = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="night-", dir=place) as folder:
        work = Path(folder)
        answers = work / "answers.txt"
        answers.write_text("".join(f"--- answer ---\n{text}" for _, text in ANSWERS))
        made = Server(work)
        made.lab.mkdir()
        for name, text in {
            "value.txt": "200.000000\nthe start\n" + STAYS,
            "other.txt": "other\n",
            "trial.sh": TRIAL,
            "autoresearch.toml": CONFIG.format(answers=answers),
        }.items():
            (made.lab / name).write_text(text)
        made.git("init", "-q", "-b", "main")
        made.git("config", "user.name", "A Person")
        made.git("config", "user.email", "person@example.org")
        made.git("add", "-A")
        made.git("commit", "-q", "-m", "the start")
        assert made.ask("command", arguments=["init", "t"], clock=0.0, fault=None)["code"] == 0
        made.ask("keep")
        yield made
        made.close()


def nights(server: Server, count: int, chance: int) -> None:
    """Tries so many nights, drawn with a seed."""
    machine = type("Night", (Night,), {"server": server})
    run_state_machine_as_test(
        seed(chance)(machine),
        settings=settings(
            max_examples=count,
            stateful_step_count=STEPS,
            deadline=None,
            database=None,
            phases=(Phase.generate,),
            suppress_health_check=list(HealthCheck),
        ),
    )


needs_a_compiler = pytest.mark.skipif(
    shutil.which("cc") is None, reason="no C compiler (cc) to build the fault injector"
)


@pytest.mark.slow
@needs_a_compiler
@pytest.mark.parametrize("share", range(SHARES))
def test_a_careless_person_on_a_failing_machine(server: Server, share: int) -> None:
    nights(server, NIGHTS // SHARES, chance=share)


@pytest.mark.smoke
@needs_a_compiler
def test_a_few_nights_of_a_careless_person(server: Server) -> None:
    nights(server, SMOKE_NIGHTS, chance=SHARES)


@pytest.mark.slow
def test_a_candidate_that_a_persons_commit_overtakes_keeps_a_ref(tmp_path: Path) -> None:
    slow = 'import time\nprint("up", flush=True)\ntime.sleep(60)\n'
    answers = labs.scripted(
        tmp_path, [labs.whole("an idea", slow, old='print("val_bpb: 2.000000")\n')]
    )
    lab = labs.make_lab(tmp_path, 'print("val_bpb: 2.000000")\n', researcher=answers, timeout_s=90)
    process = lab.spawn("run", "--max", "1", "--allow-unsandboxed")
    labs.eventually(lambda: len(lab.records("trial")) == 2)
    labs.kill(process)
    idea = lab.records("candidate")[-1]["commit"]
    lab.git("checkout", "-q", BRANCH)
    lab.commit(program__md="Another charter.\n")
    lab.cli("baseline")
    assert [row[4] for row in lab.rows()] == ["baseline", "baseline: by hand"]
    assert idea in lab.git("for-each-ref", "--format=%(objectname)", "refs/autoresearch/t")
