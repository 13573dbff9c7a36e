"""What a model said to itself before its answer, taken off: `<think> … </think>` and its kin."""

from __future__ import annotations

import re

from autoresearch.errors import BadAnswer
from autoresearch.researchers.dress import fence, header, marker

_NAMES = (
    "think|thinking|thoughts?|reasoning|reflection|scratchpad|analysis|inner_?(?:monologue|thoughts?)"
    "|ant_?thinking|antml:thinking|seed:think"
)
_TAG = re.compile(
    rf"(?:<|&lt;)(?P<close>/)?(?:{_NAMES})(?:\s[^<>\n]{{0,200}})?(?:>|&gt;)"
    r"|\[(?P<bracket>/)?THINK\]"
    r"|<\|(?:(?P<begin>begin)|end)_of_thought\|>"
    r"|◁(?P<triangle>/)?think▷",
    re.IGNORECASE,
)
_CHANNEL = re.compile(r"<\|channel\|>\s*(\w+)[^<\n]{0,80}<\|message\|>")
_MOST_TAGS = 200  # on one line they take the square of their number
_UNCLOSED = (
    "The answer never came: its reasoning was begun and not closed, so all of it is reasoning. Close "
    "the reasoning, then give the header and the blocks; think less if there is no room for both."
)


def without_thought(text: str) -> str:
    """Returns what an answer says aloud.

    A closing tag without an opening one ends a thought that began with the answer, as where a server
    keeps the opening tag to itself. Raises BadAnswer for a thought that is not closed, and for one
    inside of a block or a fence, where it may be the file's own text.
    """
    if "<|channel|>" in text:
        text = _final_channel(text)
    tags = list(_TAG.finditer(text))
    if len(tags) > _MOST_TAGS:
        raise BadAnswer(f"The answer has {len(tags)} tags of reasoning. Answer without them.")
    said = _Said()
    at, begun = 0, None
    last_description = _last_description(text) if tags else 0
    for tag in tags:
        before, behind = _line_around(text, tag.start(), tag.end())
        if not _closes(tag):
            alone = not before.strip() or not behind.strip() or _ends_thought(before)
            if begun is None and alone:
                begun = tag.start()
                said.add(text[at:begun])
                if said.in_block or said.in_fence:
                    raise BadAnswer(_inside(tag[0]))
        elif begun is not None:
            at, begun = tag.end(), None
        elif not before.strip() or not behind.strip():
            said.add(text[at : tag.start()])
            if said.in_fence:
                raise BadAnswer(_inside(tag[0]))
            if said.described and last_description < tag.end():
                raise BadAnswer(
                    f"A tag {tag[0]} follows on the description, so it is not plain where the reasoning "
                    "ends. Give the header and the blocks behind it, and nothing of them before."
                )
            said, at = _Said(), tag.end()
    if begun is not None:
        raise BadAnswer(_UNCLOSED)
    said.add(text[at:])
    return "".join(said.parts)


class _Said:
    """What was said aloud so far, and where it stands: in a block, in a fence, behind a description."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.in_block = self.in_fence = self.described = False

    def add(self, text: str) -> None:
        """Goes on with more of it."""
        self.parts.append(text)
        for line in text.split("\n"):
            kind = marker(line)
            if kind in ("open", "close"):
                self.in_block = kind == "open"
                self.described = True  # an answer may do without its header
            elif fence(line):
                self.in_fence = not self.in_fence
            elif (named := header(line)) and named[0] == "description":
                self.described = True


def _last_description(text: str) -> int:
    """Returns where the last line of a description begins; -1 without one."""
    at, found = 0, -1
    for line in text.split("\n"):
        if (named := header(line)) and named[0] == "description":
            found = at
        at += len(line) + 1
    return found


def _closes(tag: re.Match[str]) -> bool:
    if tag[0].lower().endswith("of_thought|>"):
        return tag["begin"] is None
    return any(tag[name] for name in ("close", "bracket", "triangle"))


def _ends_thought(before: str) -> bool:
    """Whether the last thing on a line, before another tag, is a closing tag."""
    last = next(reversed(list(_TAG.finditer(before))), None)
    return last is not None and _closes(last) and not before[last.end() :].strip()


def _line_around(text: str, start: int, end: int) -> tuple[str, str]:
    """Returns what stands on the same line before and behind a tag."""
    first = text.rfind("\n", 0, start) + 1
    last = text.find("\n", end)
    return text[first:start], text[end : last if last >= 0 else len(text)]


def _inside(tag: str) -> str:
    return (
        f"The tag {tag} stands inside of a block or a code fence: reasoning can't be told from the "
        "file's text there. Give the answer without reasoning in it."
    )


def _final_channel(text: str) -> str:
    """Returns the last message of a model that answers in channels, which must be its final one."""
    channels = list(_CHANNEL.finditer(text))
    if not channels:
        return text
    if channels[-1][1].lower() != "final":
        raise BadAnswer(_UNCLOSED)
    return text[channels[-1].end() :]
