"""A jail is what its witnesses saw refused: it is proved at every start, on the places of real trials.

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
from autoresearch.runners.base import TrialSpec, finish
from autoresearch.runners.environment import trial_environment
from autoresearch.runners.local import LocalRunner
from autoresearch.sandbox import confine, probe
from autoresearch.sandbox.decoys import Deed, Stage
from autoresearch.sandbox.jail import Jail, find_bwrap, find_landlock, find_sandbox_exec
from autoresearch.sandbox.policy import Ground, Python
from autoresearch.text import one_line

_TIMEOUT_S = 30.0
_KILL = "outlive the kill"
# Of a level and all above it.
_UNCOVERED = {
    4: ("unix sockets with a path in readable folders", "flock"),
    3: (
        "modes of files and access times", "inputs in the worktree",
        "names of files and processes", "/dev/shm",
        "priorities of processes",
    ),
    2: ("signals", "abstract unix sockets"),
    1: ("files", "the network", "other processes"),
    0: ("what a trial leaves running",),
}  # fmt: skip
_UNCOVERED_BY_SANDBOX_EXEC = (
    "what a trial leaves running", "services of the system", "names of files and processes",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Proof:
    """What held. refused: what was refused as it must be, nothing where no trial could live;
    failed: what did not go as it must.

    skipped: what could not be tried here; said: why the jail, or one above it, does not hold.
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
        """For the start of a run."""
        return f"sandbox {self.text}; not covered: {self.uncovered}"


def prove(jail: Jail | None, ground: Ground, python: Python | None = None) -> Proof:
    """Try the jail as a trial would meet it, with the trial's own Python (None: with ours)."""
    if sys.platform != "linux" and jail is None:
        said = (f"on {sys.platform} there is no jail, and kills are not verified",)
        return _proof(0, None, (), (), (), said)
    most = _most(jail)
    program = python.program if python else os.path.realpath(sys.executable)
    with Stage(ground, python.packages if python else None, most) as stage:
        deeds = [deed for deed in stage.deeds if deed.level <= most]
        told, said = _perform(jail, ground, program, stage, deeds)
        well = {deed.name: _went_well(deed, told) for deed in deeds}
        skipped = tuple(stage.skipped)
    level, lives = 0, all(well[deed.name] for deed in deeds if deed.level == 0)
    if lives:
        broken = [deed.level for deed in deeds if deed.level and not well[deed.name]]
        level = min(broken, default=most + 1) - 1
    return _proof(
        level, jail,
        refused=tuple(deed.name for deed in deeds if lives and deed.level and well[deed.name]),
        failed=tuple(name for name, went in well.items() if not went),
        skipped=skipped,
        said=(f"{jail.kind if jail else 'none'}: {said}",) if said else (),
    )  # fmt: skip


def choose(setting: str, ground: Ground, python: Python | None = None) -> tuple[Jail | None, Proof]:
    """The jail for a run, proved. setting: auto, bwrap, landlock or none, as runner.sandbox has it.

    auto takes the highest level that holds, and of two the jail that refuses more; LabError where a
    jail that was asked for does not hold.
    """
    jails: list[Jail | None] = []
    said: tuple[str, ...] = ()
    linux = {"bwrap": find_bwrap, "landlock": find_landlock}
    kinds = {"sandbox-exec": find_sandbox_exec} if sys.platform == "darwin" else linux
    for kind, find in kinds.items():
        if setting in ("auto", kind):
            found = find()
            jails += [found] if found else []
            said += () if found else (f"{kind}: not on this machine",)
    if setting in ("auto", "none"):
        jails.append(None)
    best: tuple[Jail | None, Proof] | None = None
    for jail in jails:
        proof = prove(jail, ground, python)
        if best is None or _worth(proof) >= _worth(best[1]):
            best = jail, proof
        if proof.level == _most(jail):
            break
        said += proof.said or (f"{proof.jail}: {', '.join(proof.failed)}",)
    level = best[1].level if best else 0
    if best is None or (setting in ("bwrap", "landlock") and level < 2):
        mend = remedy(said)
        raise LabError(
            f'runner.sandbox = "{setting}" does not hold here '
            f"({'; '.join(said) or f'{setting} is for Linux'}). {mend}".strip()
        )
    jail, proof = best
    return jail, _proof(level, jail, proof.refused, proof.failed, proof.skipped, said)


def _worth(proof: Proof) -> tuple[int, int]:
    return proof.level, len(proof.refused)


def remedy(said: Sequence[str]) -> str:
    """How this machine gets to the next level, from what its jails said; "" where nothing is known."""
    text = " ".join(said)
    if sys.platform == "darwin":
        return "macOS goes no higher: run on Linux for a jail that is proved"
    if "bwrap: not on this machine" in text:
        return "Install bubblewrap: apt install bubblewrap, or dnf install bubblewrap"
    if "bwrap:" not in text:
        return ""
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


def _setting(name: str) -> str:
    try:
        return Path("/proc/sys", name).read_text().strip()
    except OSError:
        return ""


def _most(jail: Jail | None) -> int:
    """The level that a jail has if all goes well."""
    if jail is None:
        return 1
    if jail.kind == "bwrap":
        return 4
    if jail.kind == "sandbox-exec":
        return 2
    return 3 if confine.landlock_abi() >= 6 else 2


def _proof(
    level: int,
    jail: Jail | None,
    refused: tuple[str, ...],
    failed: tuple[str, ...],
    skipped: tuple[str, ...],
    said: tuple[str, ...],
) -> Proof:
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
    return Proof(level, kind, f"{level} ({parts})", ", ".join(gaps), refused, failed, skipped, said)


def _perform(
    jail: Jail | None, ground: Ground, program: str, stage: Stage, deeds: Sequence[Deed]
) -> tuple[dict[str, str | None], str]:
    """What the witness tells of each deed, and what went wrong with the whole of it."""
    words = json.dumps([[deed.name, deed.verb, deed.argument] for deed in deeds])
    spec = TrialSpec(
        ((program, "-I", "-S", probe.__file__, words),), ground.worktree,
        trial_environment(os.environ, 0, stage.scratch, cache_dir()), stage.log, _TIMEOUT_S,
        access=stage.access, descriptors=(stage.theirs.fileno(),),
    )  # fmt: skip
    trial = LocalRunner(jail).start(spec)
    stage.theirs.close()
    try:
        outcome = finish(trial, lambda: False)
    except InfrastructureError as fault:
        return {}, str(fault)
    lines = stage.log.read_text("utf-8", "replace").splitlines() if stage.log.exists() else []
    last = lines[-1] if lines else ""
    try:
        told: dict[str, str | None] = json.loads(last)
    except ValueError:
        return {}, one_line(last) or f"the witness ended with {outcome.exit_code}"
    return told, ""


def _went_well(deed: Deed, told: dict[str, str | None]) -> bool:
    """Whether a deed was refused, or allowed, as it must be.

    Our own look goes before what is told: in a jail of bwrap's a file may be written that is nowhere.
    """
    if deed.name not in told:
        return False
    done = told[deed.name] is None
    if deed.level:
        return not (deed.happened() if deed.happened else done)
    return done and (deed.happened is None or deed.happened())
