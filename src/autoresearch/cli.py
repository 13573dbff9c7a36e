"""The command line: its flags; what a command does stands in commands/, a file each."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from autoresearch import __version__
from autoresearch.errors import NotYetError
from autoresearch.exits import call

app = typer.Typer(
    name="autoresearch",
    help="The experiment ratchet: a researcher proposes one change, a frozen harness judges it, all night.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Tag = Annotated[
    str | None, typer.Option("--tag", help="The run; default: the one checked out, else the last.")
]
JSON = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Profile = Annotated[
    str | None,
    typer.Option(
        "--profile", help="80gb, 40gb, 24gb, 16gb, 8gb, 6gb, mps, cpu; default: by device."
    ),
]
Sets = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="A single value of the profile; repeatable."),
]


def main() -> NoReturn:
    """Runs the command that was typed."""
    call(app)


def _version(wanted: bool) -> None:
    if wanted:
        print(__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


@app.command()
def init(
    tag: Annotated[
        str | None, typer.Argument(help="The run's name; default: today, as apr19.")
    ] = None,
    task: Annotated[str | None, typer.Option("--task", help="One of several [tasks.NAME].")] = None,
    rev: Annotated[
        str | None, typer.Option("--from", help="The commit to start from; default HEAD.")
    ] = None,
    template: Annotated[str | None, typer.Option("--template", help="gpt or none.")] = None,
    command: Annotated[
        str | None, typer.Option("--command", help="What one trial runs, as typed in a shell.")
    ] = None,
    mutable: Annotated[
        list[str] | None,
        typer.Option("--mutable", metavar="PATTERN", help="What may be changed; repeatable."),
    ] = None,
    metric: Annotated[
        str | None, typer.Option("--metric", help="The name of the number that a trial prints.")
    ] = None,
    maximize: Annotated[
        bool, typer.Option("--maximize", help="Higher is better; without it lower is.")
    ] = False,
    profile: Profile = None,
    sets: Sets = None,
) -> None:
    """Make a lab of a folder or a project, or a run in a lab."""
    from autoresearch.commands import init
    from autoresearch.lab.lab import current_folder
    from autoresearch.lab.new_config import Flags
    from autoresearch.streams import say

    flags = Flags(command, tuple(mutable or ()), metric, maximize)
    init.init(current_folder(), tag, task, rev, template, profile, sets or [], flags, say)


@app.command()
def prepare(
    source: Annotated[
        str | None, typer.Option(help="What the data is made from: a name, a file or a folder.")
    ] = None,
    shards: Annotated[
        int | None, typer.Option(min=1, help="How many training shards of the source.")
    ] = None,
    vocab_size: Annotated[int | None, typer.Option(help="Tokens of the vocabulary.")] = None,
    seq_len: Annotated[int | None, typer.Option(help="Tokens per row.")] = None,
    val_tokens: Annotated[int | None, typer.Option(help="Tokens to validate on.")] = None,
) -> None:
    """Make data and tokenizer, once, into the cache.

    In a lab as its [harness] table says, but for what a flag says.
    """
    from functools import partial

    from autoresearch.commands.prepare import prepare
    from autoresearch.streams import say

    notice = partial(say, file=sys.stderr)
    raise typer.Exit(prepare(source, shards, vocab_size, seq_len, val_tokens, notice))


@app.command()
def doctor(
    as_json: JSON = False,
    fit: Annotated[
        bool, typer.Option("--fit", help="Write a profile into train.py and the configuration.")
    ] = False,
    profile: Profile = None,
    sets: Sets = None,
) -> None:
    """What this machine can do, and what mends what it can't."""
    from autoresearch.commands.doctor.command import doctor

    doctor(as_json, fit, profile, sets)


@app.command()
def baseline(
    repeats: Annotated[int, typer.Option(min=1, hidden=True)] = 1,
    tag: Tag = None,
) -> None:
    """Measure experiment 0: the incumbent as it is."""
    if repeats > 1:
        raise NotYetError(f"--repeats {repeats} is not yet supported; 1 is")
    from autoresearch.commands.baseline import baseline

    baseline(tag)


@app.command()
def run(
    most: Annotated[
        int | None, typer.Option("--max", min=0, help="Experiments of this call; 0: no limit.")
    ] = None,
    hours: Annotated[float | None, typer.Option(min=0, help="Hours of this call.")] = None,
    max_usd: Annotated[float | None, typer.Option(min=0, help="Dollars of this call.")] = None,
    slots: Annotated[int | None, typer.Option(min=1, hidden=True)] = None,
    researcher: Annotated[
        str | None, typer.Option(help="anthropic, openai, command, knobs, scripted or auto.")
    ] = None,
    desc: Annotated[
        str | None, typer.Option(help="Describes experiments that their researcher does not.")
    ] = None,
    allow_unsandboxed: Annotated[
        bool,
        typer.Option("--allow-unsandboxed", help="Say that trials without a sandbox are meant."),
    ] = False,
    tag: Tag = None,
) -> None:
    """The ratchet, until a limit or Ctrl-C.

    It goes on where an earlier call stopped, however that one stopped.
    """
    if slots is not None and slots > 1:
        raise NotYetError(f"--slots {slots} is not yet supported; 1 is")
    from autoresearch.commands.run import run

    run(tag, most, hours, max_usd, researcher, desc, allow_unsandboxed)


@app.command(name="try")
def try_(
    message: Annotated[str, typer.Option("-m", "--message", help="What the edits do.")],
    rewind: Annotated[
        bool, typer.Option("--rewind", help="Edits that lose make way for the incumbent.")
    ] = False,
    as_json: JSON = False,
    ignore: Annotated[
        list[str] | None,
        typer.Option(metavar="PATTERN", help="Untracked files to pass over, as in .gitignore."),
    ] = None,
    tag: Tag = None,
) -> None:
    """Judge the edits in the checkout as one experiment."""
    from autoresearch.commands.try_ import try_

    try_(tag, message, rewind, as_json, ignore or [])


@app.command()
def accept(
    number: Annotated[int, typer.Argument(min=0, help="The held experiment.")], tag: Tag = None
) -> None:
    """Make a held experiment the incumbent, by your word."""
    from autoresearch.commands.accept import accept

    accept(number, tag)


@app.command()
def check(
    rev: Annotated[str, typer.Argument(help="The commit to compare with.")] = "HEAD",
    as_json: JSON = False,
) -> None:
    """Whether a candidate may change what was edited since REV.

    Looks from REV to the working tree, and exits with 1 where it may not.
    """
    from autoresearch.commands.check import check

    if not check(rev, as_json):
        raise typer.Exit(1)


@app.command()
def report(
    kept_only: Annotated[bool, typer.Option("--kept-only", help="Kept experiments alone.")] = False,
    top: Annotated[int | None, typer.Option(min=1, help="The best N.")] = None,
    grep: Annotated[str | None, typer.Option(help="Descriptions with all these words.")] = None,
    as_json: JSON = False,
    plot: Annotated[Path | None, typer.Option(help="Write a progress plot, FILE.png.")] = None,
    html: Annotated[Path | None, typer.Option(hidden=True)] = None,
    file: Annotated[Path | None, typer.Option(help="Any results file of this format.")] = None,
    maximize: Annotated[
        bool, typer.Option("--maximize", help="With --file: higher is better.")
    ] = False,
    tag: Tag = None,
) -> None:
    """What the run found."""
    if html is not None:
        raise NotYetError("--html is not yet supported; --plot FILE.png is")
    from autoresearch.commands.report import report

    report(kept_only, top, grep, as_json, plot, file, maximize, tag)


@app.command()
def status(as_json: JSON = False, tag: Tag = None) -> None:
    """Where the run stands."""
    from autoresearch.commands.status import status

    status(tag, as_json)


@app.command()
def show(
    number: Annotated[int, typer.Argument(min=0, help="The experiment.")],
    as_json: JSON = False,
    tag: Tag = None,
) -> None:
    """One experiment: its idea, diff, metrics, log and verdict."""
    from autoresearch.commands.show import show

    show(number, tag, as_json)


@app.command()
def skill(
    folder: Annotated[
        Path | None,
        typer.Argument(
            metavar="DIR", help="Where to; default: the lab's folders of agents' skills."
        ),
    ] = None,
) -> None:
    """Write a skill file that teaches a coding agent to work in a lab."""
    from autoresearch.commands.skill import skill

    skill(folder)
