"""What a program prints, told from what it repeats of its prompt.

Many agents print the task that they were given, indented, quoted or wrapped to a terminal's width. A
charter's example of a header or of a block in it must not be read as the program's own.
"""

from __future__ import annotations

_RUN = 12  # words in a row that stand in the prompt too, and are therefore repeated
_HEADERS = ("description:", "hypothesis:", "lesson:")


def without_echo(text: str, prompt: str) -> str:
    """Returns the lines of a text but those that are repeated from the prompt.

    Repeated is a line whose words all lie in runs of twelve words or more which the prompt has too,
    however both are broken into lines, a line without words between two of those, and a header line
    that the prompt has.
    """
    lines = text.splitlines()
    words = [_words(line) for line in lines]
    asked = _words(prompt)
    runs = {tuple(asked[at : at + _RUN]) for at in range(len(asked) - _RUN + 1)}
    flat = [word for line in words for word in line]
    repeated = bytearray(len(flat) + 1)  # the last one stands for the end of the text
    for at in range(len(flat) - _RUN + 1):
        if tuple(flat[at : at + _RUN]) in runs:
            repeated[at : at + _RUN] = b"\1" * _RUN
    whole = f" {' '.join(asked)} "
    kept, at = [], 0
    for line, said in zip(lines, words, strict=True):
        end = at + len(said)
        told = all(repeated[at:end]) if said else bool(at and repeated[at - 1] and repeated[at])
        if not told and not _is_header_of(whole, said):
            kept.append(line)
        at = end
    return "\n".join(kept)


def own_lines(text: str, prompt: str) -> list[str]:
    """Returns the lines of a text that have words, and not those of one line of the prompt."""
    asked = {tuple(_words(line)) for line in prompt.splitlines()}
    return [
        line for line in text.splitlines() if (said := tuple(_words(line))) and said not in asked
    ]


def _words(text: str) -> list[str]:
    """Returns the words of a text without the signs that quote, frame or emphasise them."""
    bare = (word.lstrip(">|│┃┆#*_•-").rstrip("|│┃┆*_") for word in text.split())
    return [word for word in bare if any(map(str.isalnum, word))]


def _is_header_of(prompt: str, words: list[str]) -> bool:
    """Whether a line is a header that stands in the prompt word by word."""
    return bool(words) and words[0].lower() in _HEADERS and f" {' '.join(words)} " in prompt
