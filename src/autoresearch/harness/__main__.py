"""`python -m autoresearch.harness prepare --source S --cache DIR [--shards N]`.

Exit codes: 0 done, 1 something the user can mend, 2 a source that this version does not serve.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from .cache import HarnessError, UsageError, cache_folder
from .prepare import prepare


def main(arguments: list[str] | None = None) -> int:
    """Parse, prepare, and turn an error into one line and an exit code."""
    parser = argparse.ArgumentParser(prog="python -m autoresearch.harness")
    verbs = parser.add_subparsers(dest="verb", required=True)
    verb = verbs.add_parser("prepare", help="text to tokenizer and rows, once")
    verb.add_argument("--source", default="stdlib", help="stdlib, or a text file or folder")
    verb.add_argument("--cache", type=Path, default=None, help="default: AUTORESEARCH_CACHE")
    verb.add_argument("--shards", type=int, default=None, help="how many, of a source in shards")
    options = parser.parse_args(arguments)
    try:
        prepare(
            options.source,
            options.cache or cache_folder(),
            shards=options.shards,
            say=lambda line: print(line, flush=True),
        )
    except HarnessError as error:
        print(f"prepare: {error}", file=sys.stderr)
        return 2 if isinstance(error, UsageError) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
