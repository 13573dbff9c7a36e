"""The state folded from a journal: of this release, of the one of 2026-11-21, and of a later one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from autoresearch.errors import JournalError
from autoresearch.ledger import journal
from autoresearch.ledger.journal import Journal
from autoresearch.ledger.state import FORMAT, State
from tests.conftest import Lab, MakeLab

# A whole run as the release of 2026-11-21 journaled it: keeps, a discard, a crash, four sessions.
RECORDS = journal.read(Path(__file__).parents[1] / "lab" / "release_2026_11_21" / "plain.journal")
KINDS = sorted({record["kind"] for record in RECORDS})


def test_what_an_older_release_wrote() -> None:
    state = State.of(RECORDS)
    assert [(e.number, e.status, e.value) for e in state.experiments] == [
        (0, "keep", 100.0), (1, "keep", 99.0), (2, "keep", 98.0), (3, "discard", 119.0),
        (4, "crash", None),
    ]  # fmt: skip
    assert state.incumbent is not None and state.incumbent.number == 2
    assert state.open == {} and state.next_number == 5 and state.release == "0.1.0"


@pytest.mark.parametrize("length", range(1, len(RECORDS) + 1))
def test_every_beginning_of_a_journal_is_a_state(length: int) -> None:
    state = State.of(RECORDS[:length])
    last = RECORDS[length - 1]
    assert ("n" in last and last["n"] in state.open) == (
        last["kind"] in ("ask", "answer", "candidate", "trial")
    )
    assert all(pending.slot == 0 for pending in state.open.values())


@pytest.mark.parametrize("kind", KINDS)
def test_a_field_too_many_changes_nothing(kind: str) -> None:
    more = [{**r, "colour": "blue"} if r["kind"] == kind else r for r in RECORDS]
    known, found = State.of(RECORDS), State.of(more)
    for state in (known, found):
        state.session = state.stop = None  # these are kept as they were written
    assert found == known


def with_one_field_less() -> list[tuple[str, str]]:
    found = {(r["kind"], key) for r in RECORDS for key in r if key != "kind"}
    return sorted(found)


@pytest.mark.parametrize(("kind", "key"), with_one_field_less())
def test_a_field_too_few_is_a_default_or_one_line(kind: str, key: str) -> None:
    less = [{k: v for k, v in r.items() if (r["kind"], k) != (kind, key)} for r in RECORDS]
    try:
        state = State.of(less, "/there/journal")
    except JournalError as fault:
        text = str(fault)
        assert "/there/journal, line " in text and f"'{key}'" in text and "\n" not in text
        assert "autoresearch init TAG --from autoresearch/" in text
    else:
        assert len(state.experiments) == 5


def faults() -> dict[str, tuple[dict[str, Any], str]]:
    return {
        "a kind that it does not know": ({"kind": "stacked", "at": 1.0}, "'stacked'"),
        "no kind at all": ({"at": 1.0}, "None"),
        "a later format": (
            {"kind": "session", "at": 1.0, "format": FORMAT + 1, "version": "9.9"},
            f"the format {FORMAT + 1}",
        ),
        "an answer that nobody asked for": (
            {"kind": "answer", "at": 1.0, "n": 17, "text": "", "usage": {}},
            "experiment 17",
        ),
    }


@pytest.mark.slow
@pytest.mark.parametrize("name", faults())
def test_what_a_later_release_wrote_is_one_line(lab: Lab, name: str) -> None:
    record, named = faults()[name]
    lab.cli("run", "--max", "1")
    written = Journal(lab.state() / "journal")
    kind = record.pop("kind", None)
    if kind is None:
        written.append("", **record)
        named = "''"
    else:
        written.append(kind, **record)
    written.close()
    before = (lab.state() / "journal").read_bytes()
    for command in (["status"], ["report"], ["show", "0"], ["run", "--max", "1"], ["baseline"]):
        ran = lab.cli(*command, code=1)
        assert ran.stdout == "" and named in ran.stderr, (command, ran)
        assert len(ran.stderr.splitlines()) == 1 and "Traceback" not in ran.stderr
        assert "autoresearch init TAG --from autoresearch/t" in ran.stderr
    assert (lab.state() / "journal").read_bytes() == before
    if "format" in record:
        assert "9.9" in ran.stderr


def test_format_and_release_stand_in_the_journal(make_lab: MakeLab) -> None:
    lab = make_lab()
    lab.cli("baseline")
    records = {r["kind"]: r for r in journal.read(lab.state() / "journal")}
    for kind in ("run", "session"):
        assert records[kind]["format"] == FORMAT and records[kind]["version"]


def test_faults_are_counted_by_candidate_and_forgiven_where_the_incumbent_fails_too() -> None:
    """What a start is not held for, and what an older journal, which has no such records, comes to."""
    base = next(r for r in RECORDS if r["kind"] == "result")
    until = RECORDS[: RECORDS.index(base) + 1]
    asked = {"kind": "ask", "n": 1, "parent": base["commit"], "at": 1.0}
    candidate = next(r for r in RECORDS if r["kind"] == "candidate" and r["n"] == 1)
    trial = next(r for r in RECORDS if r["kind"] == "trial")
    state = State.of([*until, asked, candidate])
    pending = state.open[1]
    assert pending.faults == [] and pending.incumbent_runs is None
    for reason in ("no room", "no jail"):
        state.add({**trial, "n": 1})
        assert pending.trials == 1
        state.add({"kind": "fault", "n": 1, "at": 2.0, "reason": reason})
        assert pending.trials == 0, "it ended, and not with the tool"
    assert pending.faults == ["no room", "no jail"]
    state.add({"kind": "incumbent", "n": 1, "at": 3.0, "runs": False, "reason": "no jail"})
    assert pending.faults == [] and pending.incumbent_runs is False
    state.add({"kind": "incumbent", "n": 1, "at": 4.0, "runs": True, "reason": None})
    state.add({"kind": "fault", "n": 1, "at": 5.0, "reason": "no jail"})
    assert pending.faults == ["no jail"] and pending.incumbent_runs
