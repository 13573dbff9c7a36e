"""`autoresearch run`: the ratchet, until a limit, the researcher's end or an interrupt."""

from __future__ import annotations

import sys

from autoresearch.commands.session import opened, typed
from autoresearch.ratchet.drive import Limits
from autoresearch.researchers.make import kind_of, make
from autoresearch.streams import forgive_full_disk


def run(
    tag: str | None,
    most: int | None,
    hours: float | None,
    max_usd: float | None,
    kind: str | None,
    description: str | None,
    unsandboxed: bool,
) -> None:
    """Drives a run with a researcher of the kind; None or "auto" is the one that is found.

    The limits are this call's; None and 0 are none. `description` is for proposals whose
    researcher gives none. Raises LabError where nobody watches (standard output is no terminal),
    no sandbox holds, and the user did not say that this is meant.
    """
    forgive_full_disk()  # a night's output may lie on another disk than its lab
    with opened(tag, unwatched=not (unsandboxed or sys.stdout.isatty())) as session:
        ratchet, settings = session.ratchet, session.config.researcher
        kind = kind if kind not in (None, "auto") else kind_of(settings, session.environment)
        limits = Limits(most, hours, max_usd, session.config.budget)
        ratchet.description = typed(description or "")
        researcher = make(
            settings,
            kind,
            session.environment,
            ratchet.run.repo.root,
            ratchet.workbench(),
            usd_limited=bool(max_usd or session.config.budget.usd),
            description=ratchet.description,
        )
        with session.shown(limits):
            session.driver.run(researcher, limits)
