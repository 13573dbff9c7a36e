"""What can go wrong, and whose move it is.

    AutoresearchError        the user can mend it: one line of what, where, and the next command (exit 1)
    ├── UsageError           wrong flags or configuration (exit 2)
    │   └── NotYetError      a key or flag that a later release brings (exit 2)
    ├── LabError             the repository, the branch or the checkout is not as a run needs it
    │   └── RefusedError     edits of the checkout's that no candidate may make
    ├── BusyError            another process holds the run's lock
    ├── JournalError         the run's journal can't be read or written
    ├── ResultsError         a results file of somebody's can't be read
    ├── ResearcherError      the researcher can't go on: key, model, credit, missing program
    └── InfrastructureError  the machine failed, or a candidate made it fail (ratchet/faults.py)
        └── OutsideError     the machine failed, and no candidate can be the cause: a disk full without it

    Signals between our own parts; none of them reaches the user as an error:
    ├── BadAnswer            an answer that makes no proposal; its text goes back to the researcher
    │   └── TriedBefore      a proposal of files that an earlier experiment tried
    ├── Outage               the provider is down or asks us to wait
    │   └── AnswerTimeout    the provider took the question, and gave no whole answer in its time
    ├── NothingToPropose     the researcher has come to its end
    └── Interrupted          SIGINT, SIGTERM or SIGHUP (exit 130)

Everything else that is raised is a bug of this tool (exit 3).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from autoresearch.records import Usage


class AutoresearchError(Exception):
    """A fault that the user can mend; `paths` are the files that it is about, where it knows them."""

    exit_code = 1
    status = "error"  # what JSON calls it

    def __init__(self, message: str = "", paths: Iterable[str] = ()) -> None:
        super().__init__(message)
        self.paths = tuple(paths)


class UsageError(AutoresearchError):
    """Wrong flags or a wrong configuration."""

    exit_code = 2


class NotYetError(UsageError):
    """A key or a flag of the contract that this release refuses by name."""


class LabError(AutoresearchError):
    """The repository, the branch or the checkout is not as a run needs it."""


class RefusedError(LabError):
    """Edits of the checkout's that no candidate may make."""

    status = "refused"


class BusyError(AutoresearchError):
    """Another process holds the run's lock."""


class JournalError(AutoresearchError):
    """The run's journal can't be read or written."""


class ResultsError(AutoresearchError):
    """A results file of somebody's can't be read; the text names the line and what would do."""


class ResearcherError(AutoresearchError):
    """The researcher can't go on, and waiting would not help."""


class InfrastructureError(AutoresearchError):
    """The machine failed; whether a candidate made it fail shows in the incumbent's trial."""


class OutsideError(InfrastructureError):
    """The machine failed, and the cause is known to lie outside of every trial."""


class BadAnswer(Exception):
    """An answer that can't be turned into a proposal; the text is what the researcher is told.

    `final` says that asking for the same proposal again would not help.
    """

    def __init__(self, message: str, final: bool = False) -> None:
        super().__init__(message)
        self.final = final


class TriedBefore(BadAnswer):
    """A proposal that makes the same files as an earlier experiment, whose number it has."""

    def __init__(self, message: str, number: int) -> None:
        super().__init__(message)
        self.number = number


class Outage(Exception):
    """The provider is down, or asks us to wait.

    retry_after_s is what the provider asked for, None where it did not say. usage is what the
    broken answer has cost as far as it is known, None where nothing is.
    """

    def __init__(
        self, message: str, retry_after_s: float | None = None, usage: Usage | None = None
    ) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
        self.usage = usage


class AnswerTimeout(Outage):
    """The provider took the question, and its answer did not come in time, or has no end."""


class NothingToPropose(Exception):
    """The researcher has come to its end (a script without further answers)."""


class LimitReached(Exception):
    """A limit of the run is reached; the text names it."""


class Interrupted(BaseException):
    """SIGINT, SIGTERM or SIGHUP arrived; a BaseException, so that no handler of faults swallows it."""
