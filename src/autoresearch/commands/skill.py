"""`autoresearch skill`: a skill file that teaches a coding agent to work in a lab."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from autoresearch.errors import LabError
from autoresearch.lab.lab import current_folder
from autoresearch.paths import CONFIG, make_folder
from autoresearch.streams import say

NAME = "SKILL.md"
_SKILL = "autoresearch"  # the skill's name, which its folder must have
# Claude Code and opencode look into the first; Codex, opencode and others into the second.
_AGENTS = (".claude/skills", ".agents/skills", ".qwen/skills")


def skill(folder: Path | None) -> None:
    """Writes the skill into a folder, or into those of the common agents' in the lab.

    A folder named `skills` holds a folder for each skill; a project's own holds those of the agents.
    Raises LabError where a file can't be written.
    """
    text = (resources.files("autoresearch") / "skill" / NAME).read_bytes()
    for place in _places(folder):
        file = place / NAME
        try:
            make_folder(place)
            file.write_bytes(text)
        except OSError as fault:
            raise LabError(f"{file}: can't be written: {fault.strerror}") from None
        say(f"wrote {file}")
    say("next: start your agent in the lab, and ask it to use the skill autoresearch")


def _places(folder: Path | None) -> list[Path]:
    """Returns the folders that get a copy."""
    if folder is None:
        here = current_folder()
        above = [here, *here.parents]
        marked = (each for each in above if (each / CONFIG).is_file() or (each / ".git").exists())
        folder = next(marked, here)
    elif folder.name == "skills":
        return [folder / _SKILL]
    elif not ((folder / CONFIG).is_file() or (folder / ".git").exists()):
        return [folder]
    return [folder / each / _SKILL for each in _AGENTS]
