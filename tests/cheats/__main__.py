"""`python -m tests.cheats --table FILE` plays cheats, all or `--only` some; `--write FOLDER` writes them."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from tests.cheats.campaign import Campaign
from tests.cheats.catalogue import CHEATS
from tests.cheats.table import markdown


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.cheats")
    parser.add_argument("--table", type=Path, help="play all cheats, and write a table in Markdown")
    parser.add_argument("--write", type=Path, help="a folder for every cheat's whole train.py")
    parser.add_argument(
        "--only",
        nargs="+",
        default=[],
        metavar="PATTERN",
        help="play these alone, as 23? or 5[5-8]*",
    )
    options = parser.parse_args()
    if options.write:
        options.write.mkdir(parents=True, exist_ok=True)
        for cheat in CHEATS:
            if not cheat.answer:
                (options.write / f"{cheat.number}.py").write_text(cheat.script())
    if options.table:
        with tempfile.TemporaryDirectory(prefix="cheats-") as folder:
            options.table.write_text(
                markdown(Campaign(Path(folder, "campaign"), only=options.only))
            )


if __name__ == "__main__":
    main()
