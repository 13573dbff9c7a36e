"""What a program prints, told from what it repeats of its prompt.

Many agents print the task that they were given, indented, quoted or wrapped to a terminal's width. A
charter's example of a header or of a block in it must not be read as the program's own.
"""

from __future__ import annotations

import re

_RUN = 12  # words in a row that stand in the prompt too, and are therefore repeated
_DRESS = re.compile(r"^[\s>|│┃┆*#•]+")


def without_echo(text: str, prompt: str) -> str:
    """Returns the lines of a text but those that are repeated from the prompt.

    Repeated is a line whose words all lie in runs of twelve words or more which the prompt has too,
    however both are broken into lines, and a header line that the prompt has.
    """
    lines = text.splitlines()
    words = [_DRESS.sub("", line).split() for line in lines]
    asked = [word for line in prompt.splitlines() for word in _DRESS.sub("", line).split()]
    runs = {tuple(asked[at : at + _RUN]) for at in range(len(asked) - _RUN + 1)}
    flat = [word for line in words for word in line]
    repeated = bytearray(len(flat))
    for at in range(len(flat) - _RUN + 1):
        if tuple(flat[at : at + _RUN]) in runs:
            repeated[at : at + _RUN] = b"\1" * _RUN
    whole = f" {' '.join(asked)} "
    kept, at = [], 0
    for line, said in zip(lines, words, strict=True):
        end = at + len(said)
        told = said and not all(repeated[at:end]) and not _is_header_of(whole, said)
        if told or not said:
            kept.append(line)
        at = end
    return "\n".join(kept)


def _is_header_of(prompt: str, words: list[str]) -> bool:
    """Whether a line is a header that stands in the prompt word by word."""
    name = words[0].strip("*_").lower()
    return name in ("description:", "hypothesis:", "lesson:") and f" {' '.join(words)} " in prompt
