"""Where the repository is that a folder lies in, by what git says."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from autoresearch.errors import LabError
from autoresearch.workspace.git import GitError, text


def find(folder: Path) -> tuple[Path, Path]:
    """Returns the checkout's top folder and the common git directory; raises LabError where there is none.

    git itself says where they are: GitPython's search knows neither GIT_CEILING_DIRECTORIES nor
    core.worktree, and opens what belongs to another user.
    """
    try:
        answer = text(
            folder, "rev-parse", "--is-bare-repository", "--is-inside-git-dir",
            "--path-format=absolute", "--git-common-dir",
        ).splitlines()  # fmt: skip
    except GitError as fault:
        if "dubious ownership" in fault.output:
            named = re.search(r"repository at '(.+)'", fault.output)
            place = named[1] if named else folder
            raise LabError(
                f"{place} belongs to another user, and git refuses to work in it; if you trust "
                f"it: git config --global --add safe.directory {shlex.quote(str(place))}"
            ) from None
        if "not a git repository" in fault.output:
            raise LabError(
                f"{folder} is in no git repository; make a lab in an empty folder with: "
                "autoresearch init"
            ) from None
        raise
    if answer[0] == "true":
        raise LabError(
            f"{folder} is a bare repository, without files to work on; clone it, and call "
            "autoresearch in the clone"
        )
    if answer[1] == "true":
        raise LabError(f"{folder} is inside a git directory; go to the lab's own folder")
    return Path(text(folder, "rev-parse", "--path-format=absolute", "--show-toplevel")), Path(
        answer[2]
    )
