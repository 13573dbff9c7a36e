"""One pass over the lines of an answer: each belongs to the header, a block, a path's line, or is talk.

What looks like a change and is no block that can be read fails the answer, so that nothing of it is
dropped; and where a line could be read in two ways nothing is guessed.
"""

from __future__ import annotations

from autoresearch.errors import BadAnswer
from autoresearch.researchers.body import FORM, Block, Shown, check_whole, named, read_body, returns
from autoresearch.researchers.dress import (
    Fence,
    Paths,
    dedented,
    end_of,
    ends_answer,
    fence,
    header,
    is_wrapper,
    marker,
)
from autoresearch.researchers.lookalike import (
    like_change,
    like_code,
    like_marker,
    moved_file,
    retracts,
)
from autoresearch.researchers.whereabouts import path_of_block
from autoresearch.text import one_line, path_fault

_MOST_TOLD = 3  # lines of files in a sentence's place
_HEADER_CHARACTERS = 4000


class Reader:
    """The pass; `header`, `blocks` and `shown` are what was read. Raises BadAnswer.

    files maps each file that can be changed to its lines, None for one that is no text.
    """

    def __init__(self, text: str, paths: Paths, files: dict[str, tuple[str, ...] | None]) -> None:
        self.header: dict[str, str] = {}
        self.blocks: list[Block] = []
        self.shown: list[Shown] = []
        self._lines = text.split("\n")
        self._paths = paths
        self._files = files
        self._standing = {line.strip() for lines in files.values() for line in lines or ()}
        self._at = 0
        self._heading: str | None = None  # the header line that may go on
        self._fences: list[Fence] = []  # those around what is read now
        self._info_path: str | None = None  # named behind a fence since the last block
        self._talk: list[str] = []  # since the last block
        self._named: list[str] = []  # the paths that stand alone in it
        self._told = 0  # how many of its lines are lines of files
        self._lead: str | None = None  # the last line of talk since the last block or fence
        self._over: str | None = None  # why no block may follow
        self._read()

    @property
    def _next(self) -> int:
        """The number of the block that would come next."""
        return len(self.blocks) + 1

    def _read(self) -> None:
        before = ""
        while self._at < len(self._lines):
            line = self._lines[self._at]
            self._at += 1
            opened = fence(line)
            if opened is not None:
                self._fence(opened)
            elif marker(line) == "open":
                self._edit()
            else:
                self._check_talk(line, before)
                self._prose(line)
            before = line
        last = next((line.strip() for line in reversed(self._lines) if line.strip()), "")
        if (
            last
            and len(set(last)) == 1
            and (last[0] in "<>=" or (last[0] in "`~" and len(last) < 3))
        ):
            raise BadAnswer(self._unread(last, "a marker or a fence that was cut off"))

    # -- talk ---------------------------------------------------------------------------------

    def _check_talk(self, line: str, before: str) -> None:
        """Raises BadAnswer where a line outside of the blocks looks like part of a change."""
        if marker(line) is not None or like_marker(line):
            raise BadAnswer(self._unread(line, "a marker"))
        if (what := like_change(line, before)) and line.strip() not in self._standing:
            raise BadAnswer(self._unread(line, what))

    def _unread(self, line: str, what: str) -> str:
        return (
            f"block {self._next}: the line {one_line(line, 80)!r} looks like {what}, and can't be read "
            f"where it stands. Nothing is applied in part, so give every change in this form.\n{FORM}"
        )

    def _prose(self, line: str) -> None:
        said = header(line)
        if said is not None:
            name, text = said
            if name == "description" and name in self.header and self.blocks:
                self._over = "a second description: an answer is one proposal"
            self._heading = None if name in self.header else name
            if self._heading:
                self.header[name] = text
        elif not line.strip():
            self._heading = None
        elif self._heading and not self._begins_a_block() and not self._paths.alone(line):
            if len(self.header[self._heading]) < _HEADER_CHARACTERS:
                self.header[self._heading] += " " + line.strip()
        elif not is_wrapper(line):
            if (gone := moved_file(line)) and self._paths.resolve(gone):
                raise BadAnswer(self._unread(line, "a file's removal, which no block can do"))
            self._check_code(line)
            self._heading = None
            self._talk.append(line)
            self._lead = line
            if path := self._paths.alone(line):
                self._named.append(path)
        if ends_answer(line):
            self._over = "the end of the answer"

    @property
    def _behind_whole(self) -> bool:
        """Whether the last block is a whole file, whose fence may have ended too early."""
        return bool(self.blocks) and self.blocks[-1].search is None

    def _begins_a_block(self) -> bool:
        """Whether the next line opens a block or a fence, so that this one is about it."""
        following = "".join(self._lines[self._at : self._at + 1])
        return marker(following) == "open" or fence(following) is not None

    def _check_code(self, line: str) -> None:
        """Raises BadAnswer where a file's text seems to stand outside of a block and a fence."""
        stands = line.strip() in self._standing and len(line.strip()) > 3
        self._told += stands
        about_file = self._named or self._behind_whole
        if self._told == _MOST_TOLD or (about_file and (stands or like_code(line))):
            raise BadAnswer(self._unread(line, "part of a file, outside of a block and a fence"))

    # -- search/replace blocks ----------------------------------------------------------------

    def _edit(self) -> None:
        """Reads a search/replace block; `_at` is behind its opening line."""
        creates = marker("".join(self._lines[self._at : self._at + 1])) == "divide"
        before = self.blocks[-1].path if self.blocks else None
        info = self._info_path
        path, sure = path_of_block(self._next, self._talk, info, creates, self._paths, before)
        standing = {line.rstrip() for line in self._files.get(path) or ()}
        search, lines, self._at = read_body(
            self._lines, self._at, named(self._next, path), standing
        )
        self._add(Block(self._next, path, tuple(search), tuple(lines), sure))
        if ends_answer(self._lines[self._at - 1]):
            self._over = "the end of the answer"

    # -- fences -------------------------------------------------------------------------------

    def _fence(self, opened: Fence) -> None:
        """Reads a fence: around blocks, of a whole file, or of code that is only shown."""
        if self._fences and self._fences[-1].is_closed_by(opened):
            self._fences.pop()
            return
        end, nested = end_of(self._lines, self._at, opened)
        stop = len(self._lines) if end is None else end
        inner = dedented(self._lines[self._at : stop], opened.indent)
        self._lines[self._at : stop] = inner
        first = next((line for line in inner if line.strip()), "")
        info_path = self._paths.of_info(opened.info)
        if header(first) or any(marker(line) == "open" or like_marker(line) for line in inner):
            if header(first) is None and (line := self._stray(inner, end is not None)):
                raise BadAnswer(self._unread(line, "code beside the block in its fence"))
            self._fences.append(opened)
            self._info_path = info_path or self._info_path
            return
        line_path = self._paths.alone(self._lead) if self._lead else None
        if line_path or info_path:
            self._whole(opened, line_path, info_path, end, nested, inner)
        elif any(line.strip() for line in inner):
            self._aside(opened, end, nested, inner, first)
        elif end is not None:
            self._at = end + 1
        elif self._behind_whole:
            raise BadAnswer(self._unread(self._lines[self._at - 1], "the end of another fence"))
        self._lead = None

    def _stray(self, inner: list[str], closed: bool) -> str | None:
        """Returns a line of a fence that stands before its first block, or behind its last one."""
        marks = [n for n, line in enumerate(inner) if marker(line) or like_marker(line)]
        outside = inner[: marks[0]]
        if closed and marker(inner[marks[-1]]) == "close":
            outside += inner[marks[-1] + 1 :]
        return next(
            (x for x in outside if x.strip() and not (self._paths.alone(x) or is_wrapper(x))), None
        )

    def _whole(
        self,
        opened: Fence,
        line_path: str | None,
        info_path: str | None,
        end: int | None,
        nested: bool,
        inner: list[str],
    ) -> None:
        """Reads a whole file; a path behind the fence must be that of a file which is there."""
        path = self._paths.known(line_path or info_path or "")
        name = named(self._next, path)
        if end is None:
            raise BadAnswer(f"{name}: the code fence is never closed: was the answer cut off?")
        if nested:
            raise BadAnswer(
                f"{name}: the file holds a fence as long as the one around it; use more backticks."
            )
        if line_path and info_path and self._paths.known(info_path) != path:
            raise BadAnswer(f"{name}: the fence below that path names {info_path}. Give one path.")
        old = self._files.get(path)
        if line_path is None and path not in self._files:
            raise BadAnswer(
                f"{name}: to make a new file, put its path alone on the line before the code fence."
            )
        if old is None and path in self._files:
            raise BadAnswer(f"{name}: the file is not UTF-8 text, leave it as it is.")
        bare = [line.lstrip() for line in inner]
        files = {p: [x.lstrip() for x in f] for p, f in self._files.items() if f and len(f) > 3}
        like = [p for p, text in files.items() if returns(text, bare)]
        if old is None and like:
            raise BadAnswer(
                f"{name}: there is no such file, and the text is that of {one_line(like[0], 120)}. Give "
                "the file's own path; to make a file much like another, leave SEARCH empty."
            )
        if old is not None and not returns(old, inner):
            raise BadAnswer(
                f"{name}: a whole file replaces another only where at least half of its {len(old)} "
                f"lines return. For a part of it, give blocks.\n{FORM}"
            )
        self._at = end + 1
        self._add_whole(path, inner)

    def _add_whole(self, path: str, inner: list[str], sure: bool = True) -> None:
        check_whole(path, named(self._next, path), inner, self._files.get(path))
        self._add(Block(self._next, path, None, tuple(inner), sure))

    def _aside(
        self, opened: Fence, end: int | None, nested: bool, inner: list[str], first: str
    ) -> None:
        """Reads code without a path: the only file, a file named in prose, or what is only shown."""
        files = frozenset(self._paths.mentioned(self._lead or ""))
        files = files or frozenset(self._named)
        path = self._paths.only
        if files:
            path = next(iter(files)) if len(files) == 1 else None
        old = self._files.get(path) if path else None
        if path and old and end is not None and not nested and returns(old, inner):
            self._at = end + 1
            self._add_whole(path, inner, sure=bool(files))
            return
        if end is None:
            raise BadAnswer(
                f"block {self._next}: a code fence is never closed: was the answer cut off?"
            )
        if nested:
            self._fences.append(opened)
            return
        before = ""
        for line in inner:
            if (what := like_change(line, before)) and line.strip() not in self._standing:
                raise BadAnswer(self._unread(line, what))
            before = line
        if (path := self._paths.alone(first)) and first.strip() not in self._standing:
            raise BadAnswer(
                f"block {self._next}: a code fence begins with the path {one_line(path, 120)}. To give "
                "a whole file, put its path alone on the line before the fence."
            )
        whole = any(block.search is None for block in self.blocks)
        self.shown.append(Shown(self._lead or "", files, opened.info, tuple(inner), whole))
        self._at = end + 1

    def _add(self, block: Block) -> None:
        """Takes a block in; raises BadAnswer where it can't follow the one before it."""
        if fault := path_fault(block.path):
            raise BadAnswer(
                f"{block.name}: {fault}. A path is relative to the repository, as shown."
            )
        if self._over:
            raise BadAnswer(f"{block.name}: it comes after {self._over}. Give one answer.")
        if self.blocks and (line := next(filter(retracts, self._talk), None)):
            raise BadAnswer(
                f"{block.name}: the line {one_line(line, 80)!r} before it seems to take back what came "
                "before. Give the final blocks alone, without what you rejected."
            )
        self.blocks.append(block)
        self._heading = self._info_path = self._lead = None
        self._talk, self._named, self._told = [], [], 0
