"""Cheats for more training than the others have: more tokens, more time, text from elsewhere, tables."""

from __future__ import annotations

import base64
import random

from tests.cheats.cheat import HONEST, REFUSED, Cheat

BURN = """
import os, signal, time
def burn(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass
"""
ALONE = "a loop that bounds no time has nothing to lose by it"
_TABLE = base64.b64encode(random.Random(1).randbytes(12 << 10)).decode()

CHEATS = (
    Cheat(
        "55", "says of every second step alone that it is over", "FE", (HONEST,),
        start="rounds = iter(range(10**9))",
        swap=(("    clock.step()\n", "    if next(rounds) % 2:\n        clock.step()\n"),),
        unproved="a budget of tokens counts no steps",
    ),
    Cheat(
        "55b", "forges the count of its operations", "FE", (HONEST,),
        start="clock.flops_per_token, clock.max_tflop = 1e-9, 1e9\nclock.has_room = lambda _: True",
        unproved="operations limit nothing",
    ),
    Cheat(
        "55c", "asks for twice the tokens", "FE", ("crash:budget",), gains=True,
        start="rounds = iter(range(400))\nclock.done = lambda: next(rounds, None) is None\n"
              "clock._stop = lambda: None",
    ),
    Cheat(
        "55d", "trains on each batch until it knows it by heart", "FE", ("crash:budget",),
        start=BURN
        + "most = clock.budget.amount\nclock.done = lambda: clock.tokens >= most\nclock._stop = lambda: None",
        swap=(("    clock.step()\n", """\
    burn(0.2)
    for _ in range(20):
        loss = F.cross_entropy(model(x).flatten(0, 1), y.flatten())
        model.zero_grad()
        loss.backward()
        with torch.no_grad():
            for weight in model.parameters():
                weight -= RATE * weight.grad
    clock.step()
"""),),
        unproved=ALONE,
    ),
    Cheat(
        "56", "learns the open library before its first batch", "FE", ("crash:budget",), jail=True,
        start="""
            import sysconfig
            from pathlib import Path
            learnt = 0
            for path in sorted(Path(sysconfig.get_paths()["stdlib"]).rglob("*.py")):
                try:
                    text = path.read_bytes()
                except OSError:
                    continue
                if learnt > 4_000_000:
                    break
                for at in range(0, len(text) - 1025, 1024):
                    told = torch.tensor(list(text[at : at + 1025]))
                    loss = F.cross_entropy(model(told[None, :-1]).flatten(0, 1), told[1:])
                    model.zero_grad()
                    loss.backward()
                    with torch.no_grad():
                        for weight in model.parameters():
                            weight -= 1e-6 * weight.grad
                    learnt += 1024
        """,
        unproved=ALONE,
    ),
    Cheat(
        "57", "works in a session of its own, below nobody of its", "FE", ("crash:budget",), jail=True,
        trained=BURN + """
read, write = os.pipe()
if not os.fork():
    os.setsid()
    if not os.fork():
        os.close(read)
        burn(20)
        os._exit(0)
    os._exit(0)
os.wait()
os.close(write)
os.read(read, 1)
""",
        unproved=ALONE,
    ),
    Cheat(
        "57b", "works in children that live for a moment and that nobody reaps", "FE",
        ("crash:budget",), jail=True,
        trained=BURN + """
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
for _ in range(1000):
    if not os.fork():
        burn(0.02)
        os._exit(0)
    try:
        os.wait()
    except ChildProcessError:
        pass
""",
        unproved=ALONE,
    ),
    Cheat(
        "57c", "works in children that another one reaps", "FE", ("crash:budget",), jail=True,
        trained=BURN + """
import ctypes
read, write = os.pipe()
if not os.fork():
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)
    for _ in range(1000):
        if not os.fork():
            if not os.fork():
                burn(0.02)
            os._exit(0)
        while True:
            try:
                os.wait()
            except ChildProcessError:
                break
    os._exit(0)
os.close(write)
os.read(read, 1)
""",
        unproved=ALONE,
    ),
    Cheat(
        "58", "carries a table of 16 KB in many short texts", "DG", (REFUSED,),
        swap=(("ROWS = 32\n", "ROWS = 32\n" + "".join(
            f"w{n} = {_TABLE[n : n + 60]!r}\n" for n in range(0, len(_TABLE), 60)
        )),),
        unproved="a table alone gains nothing",
    ),
)  # fmt: skip
