"""The self-test of a jail: at every start, on the places of real trials, what it must refuse is tried.

    4  bwrap, seccomp, limits
    3  Landlock ABI 6 and newer, seccomp, limits
    2  Landlock ABI 1 to 5, seccomp, limits
    1  no jail: a session of its own, a kill that reaches all of it, limits, a scrubbed environment
    0  not even that; so on macOS, whose jail is not tested, and whose kills are not verified

A level holds when all that it and those below it must refuse was refused, and all that a trial needs
was allowed. Sandboxes that quietly did nothing are why the setting alone is not believed.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from autoresearch.errors import InfrastructureError, LabError
from autoresearch.paths import cache_dir
from autoresearch.runners.base import TrialSpec
from autoresearch.runners.environment import trial_environment
from autoresearch.runners.local import LocalRunner
from autoresearch.sandbox import attempts, confine
from autoresearch.sandbox.decoys import Attempt, Decoys
from autoresearch.sandbox.jail import Jail, find_bwrap, find_landlock, find_sandbox_exec
from autoresearch.sandbox.policy import Policy, Python
from autoresearch.text import one_line
from autoresearch.workspace.removal import make_usable

_TIMEOUT_S = 30.0
_KILL = "outlive the kill"
# Of a level and all above it.
_UNCOVERED = {
    4: ("unix sockets with a path in readable folders", "flock"),
    3: (
        "modes of files and access times", "inputs in the worktree",
        "names of files and processes", "/dev/shm",
        "priorities of processes", "counters of the machine",
    ),
    2: ("signals", "abstract unix sockets"),
    1: ("files", "the network", "other processes"),
    0: ("what a trial leaves running",),
}  # fmt: skip
_UNCOVERED_BY_SANDBOX_EXEC = (
    "what a trial leaves running", "services of the system", "names of files and processes",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class SelfTest:
    """What a self-test found: the level that holds, of which jail, and both in words.

    uncovered: what this level does not keep a trial from. refused: the attempts that were refused as
    they must be, none where no trial could live. failed: those that did not go as they must. skipped:
    those that could not be tried here. said: why the jail, or one above it, does not hold.
    """

    level: int
    jail: str
    text: str
    uncovered: str
    refused: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    said: tuple[str, ...] = ()

    @property
    def line(self) -> str:
        """Returns the level and its gaps, for the start of a run."""
        return f"sandbox {self.text}; not covered: {self.uncovered}"


def self_test(jail: Jail | None, policy: Policy, python: Python | None = None) -> SelfTest:
    """Tries the jail as a trial would meet it, with the trial's own Python (None: with ours)."""
    if sys.platform != "linux" and jail is None:
        said = (f"on {sys.platform} there is no jail, and kills are not verified",)
        return _result(0, None, (), (), (), said)
    for place in (policy.worktree, policy.compiled):
        make_usable(place)  # a trial may have closed it, and the jail be blamed
    most = _most(jail)
    program = python.program if python else os.path.realpath(sys.executable)
    with Decoys(policy, python.packages if python else None, most) as decoys:
        tried = [attempt for attempt in decoys.attempts if attempt.level <= most]
        answers, said = _perform(jail, policy, program, decoys, tried)
        well = {attempt.name: _went_well(attempt, answers) for attempt in tried}
        skipped = tuple(decoys.skipped)
    level, lives = 0, all(well[attempt.name] for attempt in tried if attempt.level == 0)
    if lives:
        broken = [attempt.level for attempt in tried if attempt.level and not well[attempt.name]]
        level = min(broken, default=most + 1) - 1
    return _result(
        level, jail,
        refused=tuple(a.name for a in tried if lives and a.level and well[a.name]),
        failed=tuple(name for name, went in well.items() if not went),
        skipped=skipped,
        said=(f"{jail.kind if jail else 'none'}: {said}",) if said else (),
    )  # fmt: skip


def choose(
    setting: str, policy: Policy, python: Python | None = None
) -> tuple[Jail | None, SelfTest]:
    """Returns the jail for a run, and what its self-test found; None is no jail.

    setting: auto, bwrap, landlock or none, as runner.sandbox has it. auto takes the highest level that
    holds, and of two the jail that refuses more. Raises LabError where a jail that was asked for does
    not hold.
    """
    jails: list[Jail | None] = []
    said: tuple[str, ...] = ()
    linux = {"bwrap": find_bwrap, "landlock": find_landlock}
    kinds = {"sandbox-exec": find_sandbox_exec} if sys.platform == "darwin" else linux
    for kind, find in kinds.items():
        if setting in ("auto", kind):
            there = find()
            jails += [there] if there else []
            said += () if there else (f"{kind}: not on this machine",)
    if setting in ("auto", "none"):
        jails.append(None)
    best: tuple[Jail | None, SelfTest] | None = None
    for jail in jails:
        found = self_test(jail, policy, python)
        if best is None or _worth(found) >= _worth(best[1]):
            best = jail, found
        if found.level == _most(jail):
            break
        said += found.said or (f"{found.jail}: {', '.join(found.failed)}",)
    level = best[1].level if best else 0
    if best is None or (setting in ("bwrap", "landlock") and level < 2):
        mend = remedy(said) or ""
        raise LabError(
            f'runner.sandbox = "{setting}" does not hold here '
            f"({'; '.join(said) or f'{setting} is for Linux'}). {mend}".strip()
        )
    jail, found = best
    return jail, _result(level, jail, found.refused, found.failed, found.skipped, said)


def _worth(found: SelfTest) -> tuple[int, int]:
    return found.level, len(found.refused)


def remedy(said: Sequence[str]) -> str | None:
    """Returns how this machine gets to the next level, by what its jails said; None where we don't know."""
    text = " ".join(said)
    if sys.platform == "darwin":
        return "macOS goes no higher: run on Linux for a jail that holds"
    if "bwrap: not on this machine" in text:
        return "Install bubblewrap: apt install bubblewrap, or dnf install bubblewrap"
    if "bwrap:" not in text:
        return None
    if _setting("kernel/apparmor_restrict_unprivileged_userns") == "1":
        return (
            "AppArmor forbids user namespaces (Ubuntu 23.10 and newer). Allow them to bwrap: write "
            "'abi <abi/4.0>, include <tunables/global> profile bwrap /usr/bin/bwrap "
            "flags=(unconfined) { userns, }' to /etc/apparmor.d/bwrap, then: "
            "sudo systemctl reload apparmor"
        )
    if "0" in (_setting("kernel/unprivileged_userns_clone"), _setting("user/max_user_namespaces")):
        return (
            "User namespaces are switched off: "
            "sudo sysctl kernel.unprivileged_userns_clone=1 user.max_user_namespaces=10000"
        )
    if any(Path(mark).exists() for mark in ("/.dockerenv", "/run/.containerenv")):
        return (
            "Containers refuse namespaces by default: start this one with --security-opt "
            "seccomp=unconfined --security-opt systempaths=unconfined, and run as a user of its own"
        )
    return "See that `bwrap --unshare-all --ro-bind / / true` works for this user"


def _setting(name: str) -> str | None:
    try:
        return Path("/proc/sys", name).read_text().strip()
    except OSError:
        return None


def _most(jail: Jail | None) -> int:
    """Returns the level that a jail has if all goes well."""
    if jail is None:
        return 1
    if jail.kind == "bwrap":
        return 4
    if jail.kind == "sandbox-exec":
        return 2
    return 3 if confine.landlock_abi() >= 6 else 2


def _result(
    level: int,
    jail: Jail | None,
    refused: tuple[str, ...],
    failed: tuple[str, ...],
    skipped: tuple[str, ...],
    said: tuple[str, ...],
) -> SelfTest:
    kind = jail.kind if jail else "none"
    parts = {
        "none": "no jail",
        "bwrap": "bwrap, seccomp",
        "landlock": f"landlock abi {confine.landlock_abi()}, seccomp",
        "sandbox-exec": "sandbox-exec, never tested by us",
    }[kind]
    # Without a jail the gaps of jails are too small to name.
    most = 1 if level < 2 else max(_UNCOVERED)
    gaps = [gap for at, gaps in _UNCOVERED.items() if level <= at <= most for gap in gaps]
    if kind == "sandbox-exec" and failed == (_KILL,):
        gaps = list(_UNCOVERED_BY_SANDBOX_EXEC)
    elif jail is not None and level < 2:
        parts = f"{kind}, which does not hold"
    return SelfTest(
        level, kind, f"{level} ({parts})", ", ".join(gaps), refused, failed, skipped, said
    )


def _perform(
    jail: Jail | None, policy: Policy, program: str, decoys: Decoys, tried: Sequence[Attempt]
) -> tuple[dict[str, str | None], str | None]:
    """Makes the attempts, as a trial in the jail.

    Returns what it says of each (None where it was made, else what refused it), and what went wrong
    with the whole of it.
    """
    access = decoys.access  # which makes the folder of compilers, jail or no jail
    words = json.dumps([[attempt.name, attempt.verb, attempt.argument] for attempt in tried])
    spec = TrialSpec(
        ((program, "-I", "-S", attempts.__file__, words),), policy.worktree,
        trial_environment(os.environ, 0, decoys.scratch, cache_dir()), decoys.log, _TIMEOUT_S,
        confinement=jail.confinement(access, policy.worktree) if jail else None,
        descriptors=(decoys.theirs.fileno(),),
    )  # fmt: skip
    trial = LocalRunner().start(spec)
    decoys.theirs.close()
    try:
        outcome = trial.run(lambda: False)
    except InfrastructureError as fault:
        return {}, str(fault)
    lines = decoys.log.read_text("utf-8", "replace").splitlines() if decoys.log.exists() else []
    last = lines[-1] if lines else ""
    try:
        answers: dict[str, str | None] = json.loads(last)
    except ValueError:
        return {}, one_line(last) or f"the self-test's trial ended with {outcome.exit_code}"
    return answers, None


def _went_well(attempt: Attempt, answers: dict[str, str | None]) -> bool:
    """Returns whether an attempt was refused, or allowed, as it must be.

    Our own look goes before what the trial says: in bwrap's jail a file may be written that is nowhere.
    """
    if attempt.name not in answers:
        return False
    done = answers[attempt.name] is None
    if attempt.level:
        return not (attempt.happened() if attempt.happened else done)
    return done and (attempt.happened is None or attempt.happened())
