"""`python -m autoresearch.harness prepare ...`, `fingerprint` and `examine`: what the tool calls.

Exit codes: 0 done, 1 something the user can mend, 2 a request out of range, 130 interrupted. Only
`prepare` loads the tokenizer, it and `examine` load numpy; nothing here loads torch.
"""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path
from typing import Any

from . import names
from .cache import HarnessError, RequestError, current_fingerprint


def main(arguments: list[str] | None = None) -> int:
    """Does what the arguments say, and returns an exit code; an error becomes one line."""
    parser = argparse.ArgumentParser(prog="python -m autoresearch.harness")
    verbs = parser.add_subparsers(dest="verb", required=True)
    make = verbs.add_parser("prepare", help="text to tokenizer and rows, once")
    make.add_argument("--source", default="stdlib", help="a source by name, or a file or folder")
    make.add_argument("--shards", type=int, help="training shards of a source in shards")
    make.add_argument("--vocab-size", type=int, help="tokens of the vocabulary, BOS included")
    make.add_argument("--seq-len", type=int, help="T, tokens of a row")
    make.add_argument("--val-tokens", type=int, help="targets of the frozen validation rows")
    tell = verbs.add_parser("fingerprint", help="of the current data and the harness that runs")
    look = verbs.add_parser("examine", help="one trial, as a plan of the tool says")
    look.add_argument("plan", type=Path, help="PLAN.json")
    for verb in (make, tell):
        verb.add_argument("--cache", type=Path, help="default: AUTORESEARCH_CACHE")
    options = vars(parser.parse_args(arguments))
    verb_name = options.pop("verb")
    try:
        if verb_name == "examine":
            _examine(options["plan"])
            return 0
        cache = options.pop("cache") or names.cache_folder()
        if verb_name == "prepare":
            _prepare(cache, {name: value for name, value in options.items() if value is not None})
        else:
            print(current_fingerprint(cache))
    except HarnessError as error:
        print(f"{verb_name}: {error}", file=sys.stderr)
        return 2 if isinstance(error, RequestError) else 1
    except KeyboardInterrupt:
        print(f"{verb_name}: interrupted; run it again to go on", file=sys.stderr)
        return 130
    return 0


def _prepare(cache: Path, options: dict[str, Any]) -> None:
    from .data.prepare import prepare

    prepare(cache=cache, say=lambda line: print(line, flush=True), **options)


def _examine(plan: Path) -> None:
    from .exam.examiner import examine

    examine(plan)


if __name__ == "__main__":
    # A job in the background starts with SIGINT ignored; the others interrupt in the same way, but
    # for a SIGHUP that is ignored at the start, as under nohup.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)
    sys.exit(main())
