"""Whose a fault is: one that appears with a candidate and not with the incumbent is the candidate's.

A trial may do to the tool what nobody has thought of. So what goes wrong around a trial is counted by
candidate, in the journal: a later call knows. After the second fault the incumbent is tried. Where it
runs, the candidate is a crash, and the run goes on; where it does not, the run stops, and the faults
were the machine's. Once that is mended, the incumbent is tried first, and one more fault with the
candidate decides. An OutsideError is held against nobody.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from subprocess import SubprocessError

from autoresearch.errors import AutoresearchError, InfrastructureError, OutsideError
from autoresearch.lab.run import Run
from autoresearch.ratchet.evaluation import evaluation
from autoresearch.ratchet.fingerprint import Fingerprint
from autoresearch.ratchet.trial import Trials
from autoresearch.records import Candidate, Crash, Event
from autoresearch.text import one_line

# Whatever a trial, or what it left, makes our own code raise. A bug of ours that has nothing to do
# with the candidate shows with the incumbent too, and comes out as one then.
FAULTS = (
    AutoresearchError, ArithmeticError, AssertionError, AttributeError, EOFError, LookupError,
    MemoryError, OSError, RuntimeError, SubprocessError, TypeError, ValueError,
)  # fmt: skip
_MOST = 2
_REASON_LENGTH = 500


@dataclass(frozen=True)
class Faults:
    """Counts the faults of candidates; `trials` are those of the slot that a candidate is tried in."""

    run: Run
    fingerprint: Fingerprint
    trials: Callable[[Candidate], Trials]

    def count(self, candidate: Candidate, fault: BaseException) -> bool:
        """Journals a fault of a candidate's trial, of which nothing is left then.

        Returns False where it can't be the candidate's: of a baseline, or after the verdict. Raises
        OutsideError where the disk is full without the trial's files.
        """
        pending = self.run.state.open.get(candidate.number)
        if pending is None or pending.is_baseline or isinstance(fault, OutsideError):
            return False
        self.trials(candidate).clear()
        self.run.check_disk()
        reason = _words(fault)
        self.run.note("fault", n=candidate.number, reason=reason)
        trace = "".join(traceback.format_exception(fault))
        self.run.files.write_fault(candidate.number, trace)
        text = f"the tool failed at its trial ({len(pending.faults)}): {reason}"
        self.run.emit(Event("notice", text, candidate.number))
        return True

    def guilty(self, candidate: Candidate) -> bool:
        """Returns whether a fault appeared with a candidate, and none with the incumbent."""
        pending = self.run.state.open[candidate.number]
        return bool(pending.incumbent_runs and pending.faults)

    def crash(self, candidate: Candidate) -> Crash:
        """Returns the crash that a guilty candidate is."""
        last = self.run.state.open[candidate.number].faults[-1]
        return Crash(
            "fault", f"with it the tool failed, and with the incumbent it does not: {last}"
        )

    def try_incumbent(self, candidate: Candidate) -> None:
        """Tries the incumbent where a candidate's faults make it necessary, and journals whether it ran.

        Raises InfrastructureError where it does not run, and what Trials.try_out raises.
        """
        pending = self.run.state.open[candidate.number]
        if not (
            pending.incumbent_runs is False
            or (pending.incumbent_runs is None and len(pending.faults) >= _MOST)
        ):
            return
        incumbent = self.run.incumbent
        text = f"the incumbent, #{incumbent.number}, is tried, to tell whose the faults are"
        self.run.emit(Event("notice", text, candidate.number))
        trials = self.trials(candidate)
        try:
            self.fingerprint.check()
            ended = trials.try_out(replace(candidate, commit=incumbent.commit), of_incumbent=True)
            found = evaluation(ended, self.run.config.task)
            why = found.reason if isinstance(found, Crash) else None
            if why is None:  # a check that can't be started is a fault here too
                trials.judges.failed_check(replace(candidate, commit=incumbent.commit))
        except OutsideError:
            raise
        except FAULTS as fault:
            trials.clear()
            self.run.note("incumbent", n=candidate.number, runs=False, reason=_words(fault))
            if not isinstance(fault, (AutoresearchError, OSError)):
                raise  # a bug of ours
            why = _words(fault)
        else:
            trials.forget_exam()
            self.run.note("incumbent", n=candidate.number, runs=why is None, reason=why)
        if why is not None:
            raise InfrastructureError(
                f"{why.removesuffix('.')}. The incumbent, #{incumbent.number}, fails too, so it is the "
                "machine, and no candidate: mend it, and call autoresearch run again"
            )


def _words(fault: BaseException) -> str:
    """Returns a fault in words, with its kind where it is none that is meant for people."""
    text = one_line(str(fault), _REASON_LENGTH)
    return text if isinstance(fault, AutoresearchError) else f"{type(fault).__name__}: {text}"
