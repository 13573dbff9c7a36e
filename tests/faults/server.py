"""Commands of autoresearch under faults, for test_state_machine.py; started with the shim preloaded.

python server.py LAB, one JSON object per line in and out:

{"do": "keep"}                      the lab as it is now is what `fresh` brings back
{"do": "fresh"}                     put it back
{"do": "command", "arguments": [...], "clock": seconds past the start,
 "fault": [kind, at] or null}       -> {"code", "output", "calls"}; kinds as in inject.py, and
                                    "second": at that call another `run` is tried -> "second": [code, output]
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.faults import disk, inject
from tests.faults.disk import Synced
from tests.faults.inject import Call, Shim, fault
from tests.faults.scene import ONE


def command(shim: Shim, lab: Path, asked: dict[str, Any]) -> dict[str, Any]:
    """One command; after a power cut, what the cut leaves of the lab."""
    inject.clock = inject.START + asked["clock"]
    kind, at = asked["fault"] or ("", 0)
    told: dict[str, Any] = {}
    synced = Synced(lab) if kind in ("power", "torn") else None  # all before is on disk

    def second(call: Call) -> int:
        if call.count == at:
            with shim.paused():
                other = Shim.beside(lab, *ONE)
            told["second"] = [other.code, other.output]
        return 0

    plan = second if kind == "second" else fault(kind, at) if kind else None
    ended = shim.command(lab, *asked["arguments"], plan=plan, first=at, synced=synced)
    if synced is not None and ended.killed:
        disk.put(synced.after_a_cut(disk.take(lab), kind == "torn"), lab)
    if synced is not None:
        synced.close()
    return told | {"code": ended.code, "output": ended.output, "calls": ended.calls}


def main() -> None:
    lab, shim, kept = Path(sys.argv[1]), Shim(), {}
    for line in sys.stdin:
        asked, answer = json.loads(line), {}
        if asked["do"] == "keep":
            kept = disk.take(lab)
        elif asked["do"] == "fresh":
            disk.put(kept, lab)
        else:
            answer = command(shim, lab, asked)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
