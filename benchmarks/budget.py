"""How far honest trials stay from the limits of their time, on a machine with other work.

    python -m benchmarks.budget [--trials 200] [--load 4] [--sandbox bwrap]   # a small script
    python -m benchmarks.budget --profile [--trials 20] [--load 4]            # the template

One baseline, measured while nothing else of ours runs, and so many candidates that cost what it costs
(one number is another), while `--load` processes compute without end. For start-up and training the
ratio of processor time to the limit is printed, and how many trials were void: each is a false alarm.
The template needs prepared data (`autoresearch prepare`), in AUTORESEARCH_CACHE or the usual place.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import autoresearch
from autoresearch.harness.exam.plan import Plan
from autoresearch.harness.names import cache_folder
from tests.cheats.cheat import BASE
from tests.cheats.stage import Props, staged
from tests.labs import Lab, make_lab, scripted, swap, whole

TEMPLATE = Path(autoresearch.__file__).parent / "template" / "train.py"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--load", type=int, default=4)
    parser.add_argument("--sandbox", default="bwrap")
    parser.add_argument("--profile", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run = template if given.profile else small
        records = run(Path(folder), given.trials, given.load, given.sandbox)
    show(records, given.load)


def small(folder: Path, trials: int, load: int, sandbox: str) -> list[dict[str, Any]]:
    """Returns the records of trials of the small script that the cheats are made of."""
    props = Props(folder / "props")
    with staged(folder / "stage", props, sandbox, "bpb") as stage:
        answers = [
            whole(f"honest {n}", BASE.replace("RATE = 200.0", f"RATE = {100 - n / 10}"), old=BASE)
            for n in range(trials)
        ]
        scripted(stage.folder, ["nothing", *answers])
        return climb(stage.lab, load)


def template(folder: Path, trials: int, load: int, sandbox: str) -> list[dict[str, Any]]:
    """Returns the records of trials of the template at its own size."""
    answers = [
        swap(f"honest {n}", "WEIGHT_DECAY = 0.1 ", f"WEIGHT_DECAY = {0.5 + n / 100} ")
        for n in range(trials)
    ]
    rest = f'[runner]\nsandbox = "{sandbox}"\n[harness]\nbudget = "614400tokens"\n'
    lab = make_lab(
        folder,
        TEMPLATE.read_text(),
        'exam = "bpb"',
        scripted(folder, answers),
        rest,
        timeout_s=3000,
    )
    lab.env["AUTORESEARCH_CACHE"] = str(cache_folder())
    return climb(lab, load)


def climb(lab: Lab, load: int) -> list[dict[str, Any]]:
    """Returns the records of a run under load, the baseline's first."""
    for words, others in ((("baseline",), 0), (("run", "--allow-unsandboxed"), load)):
        with working(others):
            done = subprocess.run(
                lab.command(*words), cwd=lab.root, env=lab.env,
                stdin=subprocess.DEVNULL, capture_output=True, text=True,
            )  # fmt: skip
        if done.returncode:
            print(done.stdout[-2000:], done.stderr[-2000:])
    count = sum(1 for _ in lab.state.glob("experiments/*/record.json"))
    return [lab.record(number) for number in range(count)]


@contextlib.contextmanager
def working(count: int) -> Iterator[None]:
    """Keeps so many processes busy meanwhile."""
    others = [
        subprocess.Popen([sys.executable, "-c", "while True: sum(range(10**6))"])
        for _ in range(count)
    ]
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()


def show(records: list[dict[str, Any]], load: int) -> None:
    """Prints the ratios, largest last."""
    baseline, *honest = records
    known = {**baseline["summary"], "tokens": 1, "steps": 1}
    plan = Plan("score", 0, "", "", 0, "cpu", "1tokens", None, known)
    limits = {"startup": plan.startup(), "training": plan.training()}
    print(f"{os.cpu_count()} cores, {load} busy processes, load {os.getloadavg()[0]:.1f}")
    for phase, limit in limits.items():
        assert limit is not None
        usual_s = known[f"{phase}_processor_s"]
        spent = sorted(r["summary"][f"{phase}_processor_s"] for r in honest if r["summary"])
        shares = [f"{seconds / limit.most_s:.2f}" for seconds in spent]
        middle = len(shares) // 2
        print(
            f"{phase}: baseline {usual_s:.2f} s, limit {limit.most_s:.2f} s; of the limit the least "
            f"{shares[0]}, the median {shares[middle]}, the most {shares[-1]}"
        )
    void = [r for r in honest if r["status"] == "crash"]
    print(f"{len(honest)} honest trials, {len(void)} void")
    for record in void:
        print(json.dumps([record["number"], record["failure"], record["reason"]]))


if __name__ == "__main__":
    main()
