"""Sweeps of faults over a whole run. Started by test_faults.py with the shim preloaded:

python driver.py WORKDIR MODE:FIRST:STEP:RUNS ...

    cuts      what a kill, a power cut and a torn write leave
    kill, full, enospc, edquot, eio, eio4
    mixed     2 to 7 faults in each of RUNS runs
    thrice    one candidate, and three times no room for its log
    accept    what a kill, a power cut and a torn write leave of `accept`

With --gates the lab has judges of its own (scene.GATES).

Every point is a run that is hit, taken up again, and compared with a run that nothing happened to.
Prints for each sweep one JSON line with the counts, and one per point that was tried.
"""

from __future__ import annotations

import errno
import json
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from autoresearch.errors import JournalError
from autoresearch.workspace.git import GitError, git
from tests.faults import disk
from tests.faults.disk import Disk, Synced
from tests.faults.inject import Call, Ended, Shim, fault
from tests.faults.scene import (
    ONE,
    RUN,
    cut_off,
    leftovers,
    make_lab,
    picture,
    rows,
)
from tests.sizes import ALL

CAUSES = (
    "no space left", "disk quota", "input/output error", "no usable temporary", "couldn't write",
    "unable to write", "unable to create directory", "couldn't set",
)  # fmt: skip
MIXED = ("kill", "kill", "power", "torn", "enospc", "edquot", "eio", "eio4", "tsv")
ROOM = ("full", "enospc", "edquot")  # hit only calls that need room

# What follows a fault: one experiment, or all that are left. One is enough where the picture says
# all that the next one hangs on; the long sweeps run to the end nevertheless.
AFTER = RUN if ALL else ONE


class Bench:
    """A lab, the run that nothing happens to, and runs that are compared with it.

    after: (disk, picture) as they are after that many experiments (rows), each a session of its own;
    calls: of each of these sessions; cuts: (name, disk), what a fault leaves of one session over all.
    """

    def __init__(self, work: Path, gates: bool = False) -> None:
        self.shim, self.lab = Shim(), work / "lab"
        self.count = 6 if gates else 5
        make_lab(self.lab, gates)
        assert self.shim.command(self.lab, "init", "t").code == 0
        git(self.lab, "checkout", "-q", "autoresearch/t")
        self.after = {0: (disk.take(self.lab), picture(self.lab))}
        self.calls: dict[int, list[Call]] = {}
        while (count := len(rows(self.lab))) < self.count:
            self.calls[count] = []
            plan = _listen(self.calls[count])
            ended = self.shim.command(self.lab, *ONE, plan=plan, first=1)
            assert ended.code == 0, ended.output
            self.after[len(rows(self.lab))] = disk.take(self.lab), picture(self.lab)
        self.rows = rows(self.lab)
        self.points: list[tuple[int, Call]] = [(n, c) for n in self.calls for c in self.calls[n]]

    def cuts(self) -> list[tuple[str, Disk]]:
        """A run in one session; at each of its calls, what would be left were it the last, each once."""
        return self._cuts(self.after[0][0], *RUN)

    def _cuts(self, start: Disk, *command: str) -> list[tuple[str, Disk]]:
        disk.put(start, self.lab)
        synced, seen, contents = Synced(self.lab), set(), {}
        found: list[tuple[str, Disk]] = []

        def keep(number: int) -> None:
            whole = {
                path: each._replace(content=contents.setdefault(each.content, each.content))
                for path, each in disk.take(self.lab).items()
            }
            for how, left in (
                ("kill", whole),
                ("power", synced.after_a_cut(whole)),
                ("torn", synced.after_a_cut(whole, torn=True)),
            ):
                if disk.identity(left) not in seen:
                    seen.add(disk.identity(left))
                    found.append((f"{how} {number}", left))

        def plan(call: Call) -> int:
            keep(call.count)
            return 0

        ended = self.shim.command(self.lab, *command, plan=plan, first=1, synced=synced)
        assert ended.code == 0, ended.output
        keep(ended.calls + 1)
        synced.close()
        return found

    def resume(self, **report: Any) -> dict[str, Any]:
        """Take the run up again, and compare."""
        try:
            return self._resume(report)
        except (JournalError, GitError) as broken:
            return report | {"bad": True, "broken": str(broken)}

    def _resume(self, report: dict[str, Any]) -> dict[str, Any]:
        before = rows(self.lab)
        ended = self.shim.command(self.lab, *AFTER)
        now = rows(self.lab)
        expected, got = self.after.get(len(now), ({}, {}))[1], picture(self.lab)
        different = {
            key: [expected.get(key), got.get(key)]
            for key in expected.keys() | got.keys()
            if expected.get(key) != got.get(key)
        }
        at_least = self.count if AFTER == RUN else min(self.count, len(before) + 1)
        right = before == self.rows[: len(before)] and now == self.rows[: len(now)]
        found = {"rows": [before, now], "different": different, "left": leftovers(self.lab)}
        fine = right and len(now) >= at_least and not different and not found["left"]
        if ended.code != 0 or not fine or report.get("bad"):
            return (
                report | found | {"bad": True, "resumed": ended.code, "said": ended.output[-1500:]}
            )
        return report | {"bad": False}

    # -- the sweeps ---------------------------------------------------------------------------

    def cut(self, name: str, left: Disk) -> dict[str, Any]:
        """Go on from what a fault left."""
        disk.put(left, self.lab)
        return self.resume(at=name)

    def hit(self, kind: str, count: int, at: int) -> dict[str, Any]:
        """A session after `count` experiments with a fault from its call `at` on, in living processes."""
        disk.put(self.after[count][0], self.lab)
        ended = self.shim.command(self.lab, *ONE, plan=fault(kind, at), first=at)
        report = {"at": f"{kind} {at} after {count}", "code": ended.code, "bad": False}
        if bug(ended):
            report |= {"bad": True, "output": ended.output[-1500:]}
        return self.resume(**report)

    def mixed(self, seed: int) -> dict[str, Any]:
        """2 to 7 faults, one after the other, and then none.

        A candidate whose trial was cut off three times is a crash by rule: none is cut off thrice.
        """
        dice = random.Random(seed)
        disk.put(self.after[0][0], self.lab)
        synced, told = Synced(self.lab), []
        for _ in range(dice.randint(2, 7)):
            kind, at = dice.choice(MIXED), dice.randint(1, 300)
            told.append(f"{kind} {at}")
            if kind == "tsv":
                (self.lab / "results.tsv").unlink(missing_ok=True)
                continue
            if cut_off(self.lab) >= 2:
                told.append("spared")
                break
            plan = fault(kind, at)
            ended = self.shim.command(self.lab, *RUN, plan=plan, first=at, synced=synced)
            if bug(ended):
                return {"at": f"{seed}: {told}", "bad": True, "output": ended.output[-1500:]}
            if kind in ("power", "torn") and ended.killed:
                disk.put(synced.after_a_cut(disk.take(self.lab), kind == "torn"), self.lab)
                synced.all_of(self.lab)
        synced.close()
        return self.resume(at=f"{seed}: {told}")

    def accept(self) -> Iterator[dict[str, Any]]:
        """The held experiment is accepted, cut off at every call, and accepted again."""
        start = self.after[2][0]
        disk.put(start, self.lab)
        assert self.shim.command(self.lab, "accept", "1").code == 0
        expected = picture(self.lab)
        cuts = self._cuts(start, "accept", "1")
        yield {"points": len(cuts), "rows": len(self.rows)}
        for name, left in cuts:
            disk.put(left, self.lab)
            ended = self.shim.command(self.lab, "accept", "1")
            got = picture(self.lab)
            different = {
                key: [expected.get(key), got.get(key)]
                for key in expected.keys() | got.keys()
                if expected.get(key) != got.get(key)
            }
            fine = ended.code == 0 or "kept already" in ended.output
            said = {"said": ended.output[-1500:], "different": different}
            yield {"at": name, "bad": bool(different) or not fine} | said

    def thrice(self) -> dict[str, Any]:
        """The machine fails one candidate as often as a candidate may bring the supervisor down."""
        disk.put(self.after[2][0], self.lab)

        def plan(call: Call) -> int:
            logs = ("/trial.log.tmp", "/incumbent.log.tmp")  # the incumbent's, to see whose it is
            return errno.ENOSPC if call.kind == "w" and call.path.endswith(logs) else 0

        ended = [self.shim.command(self.lab, *ONE, plan=plan, first=1) for _ in range(3)]
        hit = all(end.code == 1 and "No space left" in end.output for end in ended)
        return self.resume(at="thrice", bad=not hit)


def _listen(calls: list[Call]) -> Any:
    def plan(call: Call) -> int:
        calls.append(call)
        return 0

    return plan


def bug(ended: Ended) -> bool:
    """Whether a fault came out as a bug of ours, or without its cause and what to do next."""
    if ended.killed or ended.code == 0:
        return False
    last = ended.output.rstrip().rpartition("\n")[2]
    told = last.startswith("error: ") and last.endswith(" again")
    return ended.code != 1 or not told or not any(cause in last.lower() for cause in CAUSES)


def sweep(bench: Bench, mode: str, first: int, step: int, runs: int) -> Iterator[dict[str, Any]]:
    """The counts, and then the reports of one sweep."""
    if mode == "mixed":
        yield {"points": runs, "rows": len(bench.rows)}
        for seed in range(first, runs, step):
            yield bench.mixed(seed)
        return
    if mode == "thrice":
        yield {"points": 1, "rows": len(bench.rows)}
        yield bench.thrice()
        return
    if mode == "accept":
        yield from bench.accept()
        return
    if mode == "cuts":
        cuts = bench.cuts()
        yield {"points": len(cuts), "rows": len(bench.rows)}
        for name, left in cuts[first::step]:
            yield bench.cut(name, left)
        return
    points = [(n, call.count) for n, call in bench.points if call.fills or mode not in ROOM]
    yield {"points": len(points), "rows": len(bench.rows)}
    for count, at in points[first::step]:
        yield bench.hit(mode, count, at)


def main() -> None:
    bench = Bench(Path(sys.argv[1]), "--gates" in sys.argv)
    for wanted in (each for each in sys.argv[2:] if each != "--gates"):
        mode, first, step, runs = wanted.split(":")
        for report in sweep(bench, mode, int(first), int(step), int(runs)):
            print(json.dumps(report), flush=True)


if __name__ == "__main__":
    main()
