"""How much of what takes long is tried: a spread by day, all of it with FAULTS=all, as in `make nightly`."""

from __future__ import annotations

import os

ALL = os.environ.get("FAULTS") == "all"
