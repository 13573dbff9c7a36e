"""What looks like a change and can't be read as one: markers in another dress, patches, tool calls.

Nothing of an answer is dropped, so a line of this kind outside of a block fails the whole answer.
"""

from __future__ import annotations

import html
import re
import unicodedata

from autoresearch.researchers.dress import visible

_DRESS = r"[\s>*#/|:;.\-+\d`'\"(\[]*"
_MARKER = re.compile(
    rf"{_DRESS}(?:<{{4}}|>{{4}})"
    r"|.*?[<>=+\-~*#«»]{3}[ \t]{0,9}(?:SEARCH|REPLACE|ORIGINAL|UPDATED|HEAD)\b"
    r"|.*?\b(?:SEARCH|REPLACE)[ \t]{0,9}[<>=+«»]{3}",
    re.IGNORECASE,
)
_MARKER_WORD = re.compile(
    r"[^A-Za-z]*(?:end[\s_-]?)?(?:search|replace|replacement|find)"
    r"(?:[\s_-](?:block|with|text|code|for|this|by|begin|start|end))?[^A-Za-z]*$",
    re.IGNORECASE,
)
_DIVIDER_SIGNS = 4

_PATCH = re.compile(
    r"[\s>|]*(?:@@"
    r"|(?:---|\+\+\+) (?:\"?[ab]/|/dev/null|\S+\.\w+)"
    r"|diff (?:--git|-u|-r) |Index: \S|\*{3} ?(?:Begin|End) (?:of )?(?:Patch|File)"
    r"|\*{3} (?:Update|Add|Delete|Move|Rename)\b|\*{3} \S+\.\w+\s"
    r"|(?:new|deleted) file mode |rename (?:from|to) |similarity index |GIT binary patch"
    r"|index [0-9a-f]{7,40}\.\.[0-9a-f]{7,40})"
)
_PATCHED = re.compile(
    r"[-+][\w.\[\]]{1,80}\s{0,4}[-+*/]?=\s|[-+]\s*(?:def|class|import|from|return) \w"
)
_REMOVED, _ADDED = re.compile(r"-(?!--| \S)"), re.compile(r"\+(?! \S)")  # no items of a list
_QUOTED_FENCE = re.compile(r"[ \t]*[>#|*/;%-][>#|*/;%\s-]*(?:`{3}|~{3})")
_TAGS = (
    "tool tool_call tool_calls tool_use function_call function_calls invoke parameter edit edits file files"
    " create write patch diff apply_patch apply_diff old_str new_str old_string new_string old_text new_text"
    " search replace replacement find old new original updated modified change insert delete artifact"
    " antartifact create_file write_file write_to_file replace_in_file edit_file delete_file rename path"
    " file_path content str_replace str_replace_editor"
)
_TOOL = re.compile(
    rf"[\s>|]*</?(?:antml:)?(?:{'|'.join(_TAGS.split())})\b[^<>]{{0,300}}>"
    r"|[\s>|]*<function=|.*?<\|(?:tool|python_tag|plugin)|.*?\[TOOL_|.*?<｜tool"
    r"|.*?[\"'](?:search|replace|old_str|new_str|old_string|new_string|old_text|new_text|old_content"
    r"|new_content|file_text|edits|patch|diff|content|path|file|file_?path|filename|target_file|code_edit"
    r"|arguments|tool_calls)[\"']\s{0,9}:"
    r"|\s*(?:functions\.\w|(?:edit_file|apply_patch|write_file|str_replace\w*|create_file)\b)",
    re.IGNORECASE,
)
_SHELL_EDIT = re.compile(
    r"(?:.*?[|&;$])?\s*(?:sed\s+(?:-\w+\s+)*-i|tee\s|patch\s+-|git\s+(?:apply|mv|rm|am|restore|checkout)\b"
    r"|(?:mv|rm|cp|touch)\s|cat\s*>|echo\b.*>|printf\b.*>|perl\s+-\w*i|ed\s)|.*<<-?\s*['\"]?\w+"
)
_CODE = re.compile(
    r"\s*(?:import \w+$|from [\w.]+ import |def \w+\(|class \w+[(:]|return\b.*[\w)\]]$|@\w+|#include\b"
    r"|(?:const|let|var|fn|func|static|pub) \w+|[\w.\[\]]+\s*[-+*/]?=\s*\S)"
)
_ELISION = re.compile(
    r"\s*(?:(?:#|//|/\*|<!--|--|%|;|\")+\s*)(?:\.\.\.|…|\(?(?:the )?(?:rest|remainder|remaining)\b"
    r"|\(?(?:existing|previous|unchanged|other|same)\b.{0,40}\b(?:code|unchanged|here|above|before|as)\b"
    r"|.{0,60}\b(?:unchanged|omitted|elided|snip(?:ped)?|truncated|stays? the same|remains? the same)\b"
    r"|.{0,60}(?:\.\.\.|…)\s*(?:\*/|-->)?\s*$)",
    re.IGNORECASE,
)
_NUMBERED = re.compile(r"\s*\d{1,6}(?:\s*[|:│→]|\t|\s{2,})")
_RETRACTION = re.compile(
    r"[\s>*_#-]*(?:(?:oh|hmm+|no|sorry)?[,.!]?\s*wait\b|actually\b|on second thoughts?\b|scratch that"
    r"|correction[:,]|let me (?:redo|revise|reconsider|rewrite|rethink|retry|try again)"
    r"|let me (?:fix|correct) (?:that|this|it|the above|my)|i(?:'ll| will)? (?:retract|take (?:that|it) back)"
    r"|(?:final|revised|corrected|better) (?:answer|version|proposal)s?\b"
    r"|(?:revised|corrected) (?:edit|change|block)s?\b"
    r"|(?:please )?(?:ignore|disregard|forget) (?:the|that|this|my|what)|never ?mind|strike that"
    r"|(?:or,? )?alternative(?:ly)?\b|instead[,:]"
    r"|that(?:'s| is| was) (?:too|wrong|not right|incorrect|a mistake)"
    r"|(?:option|alternative|variant|attempt|proposal) (?:\d|[a-z]\b))",
    re.IGNORECASE,
)
_FILE_MOVE = re.compile(
    r"[\s>*_#\d.)-]*(?:(?:i|we|and|also|then)\s+){0,3}(?:delete|remove|rename|move)[sd]?:?\s+(?:the\s+)?(?:file\s+)?"
    r"[`\"']?([\w./\\-]+)[`\"']?(?:\s+(?:to|into|as)\b|\s*[.,;:!]?\s*$|\s+\(|,)",
    re.IGNORECASE,
)


def like_marker(line: str) -> bool:
    """Whether a line has a marker's signs, in whatever dress: quoted, escaped, indented, of dashes."""
    return _MARKER.match(_plain(line)) is not None


def like_divider(line: str) -> bool:
    """Whether a line may be a damaged divider: a few equals signs with one or two others, or too few."""
    bare = _plain(line).strip()
    signs = bare.count("=")
    return signs >= _DIVIDER_SIGNS and len(bare) - signs <= 2 and len(bare) <= 12


def like_change(line: str, before: str = "") -> str | None:
    """Returns what a line outside of a block looks like a part of; None for talk.

    `before` is the line before it.
    """
    if like_marker(line) or _MARKER_WORD.match(line):
        return "a marker"
    if _PATCH.match(line) or _PATCHED.match(line):
        return "a patch"
    if _ADDED.match(line) and _REMOVED.match(before):
        return "a patch"
    if _QUOTED_FENCE.match(line):
        return "a fence that is quoted"
    return "a tool call" if _TOOL.match(line) else None


def like_code(line: str) -> bool:
    """Whether a line is a statement of a program rather than a sentence."""
    return _CODE.match(line[:200]) is not None


def edits_by_shell(line: str) -> bool:
    """Whether a command line changes files."""
    return _SHELL_EDIT.match(line[:2000]) is not None


def elides(line: str, before: str = "") -> bool:
    """Whether a line stands for others that were left out, as `# ... rest unchanged`.

    A bare `...` behind a line that ends in a colon is Python.
    """
    if line.strip() in ("...", "…"):
        return not before.rstrip().endswith(":")
    return _ELISION.match(line[:400]) is not None


def is_numbered(lines: list[str]) -> bool:
    """Whether every line with text begins with a number of its own, as listings have them."""
    text = [line for line in lines if line.strip()]
    return bool(text) and all(_NUMBERED.match(line) for line in text)


def moved_file(line: str) -> str | None:
    """Returns the word that a line says is to be deleted or renamed, as `Delete old.py.`; else None."""
    match = _FILE_MOVE.match(line[:400])
    return match[1].rstrip(".") if match else None


def retracts(line: str) -> bool:
    """Whether a line between two blocks takes back the one before, or offers another choice."""
    return _RETRACTION.match(line[:400]) is not None


def _plain(line: str) -> str:
    """Returns the line with HTML's entities and wide forms of signs as the signs that they stand for."""
    if "&" in line:
        line = html.unescape(line)
    return line if line.isascii() else visible(unicodedata.normalize("NFKC", line))
