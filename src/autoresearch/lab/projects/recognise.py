"""Which of the known layouts a folder has."""

from __future__ import annotations

from collections.abc import Callable

from autoresearch.lab.projects.base import Project, Sources
from autoresearch.lab.projects.cargo import cargo
from autoresearch.lab.projects.make import make
from autoresearch.lab.projects.npm import npm
from autoresearch.lab.projects.python import uv
from autoresearch.lab.projects.reference import reference

# The first that fits is taken. What holds train.py, prepare.py and a charter is that, whatever builds it.
_LAYOUTS: tuple[Callable[[Sources], Project | None], ...] = (reference, cargo, npm, uv, make)
KNOWN = "karpathy/autoresearch and its ports, cargo, npm, uv and make"


def recognise(sources: Sources) -> Project | None:
    """Returns the project that a folder holds; None where its layout is not known."""
    return next((found for layout in _LAYOUTS if (found := layout(sources)) is not None), None)
