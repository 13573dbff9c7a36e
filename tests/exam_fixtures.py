"""What the tests of examinations share: one process to fork trials from, one small cache."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.examroom import Nursery, Room, prepared


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    """One for all tests of examinations."""
    made = Nursery()
    yield made
    made.close()


@pytest.fixture(scope="session")
def small_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache with a small data folder."""
    cache = tmp_path_factory.mktemp("exam")
    prepared(cache)
    return cache


@pytest.fixture
def room(small_cache: Path, tmp_path: Path, nursery: Nursery) -> Room:
    """A folder for one test's examinations."""
    return Room(small_cache, tmp_path / "room", nursery)
