"""What one jailed trial read, the next one can't tell by what the kernel has in memory."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from autoresearch.sandbox.eviction import evict
from tests.jailed import KINDS, Trial, jail_of

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the page cache is Linux's")

PAGE = 4096
FILES, SAID = 64, 0xA5C3_0F17_96E4_2B7D  # a bit in each file

# Of each file in turn, whether it was in memory: by what no jail can refuse. Whoever looks changes it.
LOOK = """
import json, mmap, os, resource, sys
def blocks():
    return resource.getrusage(resource.RUSAGE_SELF).ru_inblock
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_majflt
def by_blocks(file):
    before = blocks()
    os.pread(file, 4096, 0)
    return blocks() == before
def by_faults(file):
    room = mmap.mmap(file, 4096, mmap.MAP_SHARED, mmap.PROT_READ)
    before = faults()
    room[0]
    return faults() == before
def by_input(file):
    def read():
        return next(l for l in open("/proc/self/io") if l.startswith("read_bytes"))
    before = read()
    os.pread(file, 4096, 0)
    return read() == before
"""


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Files that trials may read, on disk and not in memory."""
    folder = tmp_path / "system"
    folder.mkdir()
    made = [folder / f"{number:02d}" for number in range(FILES)]
    for path in made:
        path.write_bytes(os.urandom(PAGE))
        with path.open("rb") as file:
            os.fsync(file.fileno())
    assert evict([folder]) == FILES
    drop(made)
    return made


def drop(files: list[Path]) -> None:
    """Takes files out of memory without what is tested."""
    for path in files:
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


@pytest.mark.parametrize("way", ["by_blocks", "by_faults", "by_input"])
@pytest.mark.parametrize("kind", KINDS)
def test_no_word_is_left_in_the_page_cache(
    files: list[Path], tmp_path: Path, kind: str, way: str
) -> None:
    jail_of(kind)
    folder = files[0].parent
    told = [str(path) for number, path in enumerate(files) if SAID >> number & 1]
    trial = Trial(tmp_path / "run", kind, readable=(folder,))
    look = f"{LOOK}\nfound = [{way}(os.open(p, os.O_RDONLY)) for p in sys.argv[1:]]\nprint(json.dumps(found))"
    every = [str(path) for path in files]

    def seen() -> int:
        outcome, said = trial.python(look, *every)
        assert outcome.exit_code == 0, said
        found = json.loads(said.splitlines()[-1])
        return sum(bit << number for number, bit in enumerate(found))

    for _ in range(3):  # a page of the process's own may come in just then
        drop(files)
        outcome, said = trial.python(
            "import sys\nfor p in sys.argv[1:]: open(p, 'rb').read()", *told
        )
        assert outcome.exit_code == 0, said
        if seen() == SAID:
            break
    else:
        pytest.skip("the files of this machine's temporary folder are in memory whatever is done")
    evict([folder])
    assert seen() == 0


def test_what_is_no_plain_file_is_passed_over(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "closed").mkdir()
    (tmp_path / "closed" / "file").write_bytes(b"x")
    (tmp_path / "link").symlink_to("closed/file")
    (tmp_path / "loop").symlink_to(tmp_path)
    assert evict([tmp_path, tmp_path, tmp_path / "gone", tmp_path / "pipe"]) == 2
    assert evict([tmp_path / "file"]) == 1
