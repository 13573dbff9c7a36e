"""Runs a command, and ends all that it left: python -m tests.mutants.reaper SECONDS COMMAND...

With a safeguard gone a trial may outlive its test. The exit code is the command's; 124 where the
time was over.
"""

from __future__ import annotations

import subprocess
import sys

from autoresearch.runners import launcher


def main() -> int:
    launcher.become_subreaper()
    process = subprocess.Popen(sys.argv[2:], start_new_session=True)
    try:
        return process.wait(float(sys.argv[1]))
    except subprocess.TimeoutExpired:
        return 124
    finally:
        launcher.sweep(process.pid)


if __name__ == "__main__":
    sys.exit(main())
