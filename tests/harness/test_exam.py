"""The examination of a trial by a process of its own: honest scripts, hostile ones, and their ends."""

from __future__ import annotations

import hashlib
import random
import re
import shutil
import struct
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import autoresearch  # noqa: E402
from autoresearch.harness import cache as store  # noqa: E402
from autoresearch.harness import names  # noqa: E402
from autoresearch.harness.budget import Budget, TimeLimit  # noqa: E402
from autoresearch.harness.cache import HarnessError  # noqa: E402
from autoresearch.harness.clock import Clock  # noqa: E402
from autoresearch.harness.exam.losses import AnswerError, divergences, draw_picks, losses  # noqa: E402
from autoresearch.harness.exam.plan import STARTUP, Plan  # noqa: E402
from autoresearch.harness.loader import Batches, open_data  # noqa: E402
from autoresearch.harness.names import EXAMINER_VARIABLE  # noqa: E402
from autoresearch.harness.protocol import Connection, LateError, ProtocolError  # noqa: E402
from tests.examroom import VOCAB, Nursery, Room, T, pair, prepared, script  # noqa: E402

pytest_plugins = ("tests.exam_fixtures",)

CPU = torch.device("cpu")
TEMPLATE = Path(autoresearch.__file__).parent / "template" / "train.py"

# Prints the score that it is told, then that of the measure in the trial's own process.
AGAIN = """
print("told", score.bpb.hex())
del os.environ["AUTORESEARCH_EXAMINER"]
from pathlib import Path
print("here", evaluate(model, open_data(Path(os.environ["CACHE"])), CPU, 8).bpb.hex())
"""


def scores(log: str) -> tuple[float, float]:
    found = re.findall(r"^(?:told|here) (\S+)$", log, re.MULTILINE)
    told, here = map(float.fromhex, found)
    return told, here


# -- honest ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["logits", "losses"])
@pytest.mark.parametrize("rows", [8, 90])
def test_the_score_is_that_of_the_measure_in_one_process(way: str, rows: int, room: Room) -> None:
    room.full_bytes = 10**9 if way == "logits" else 0
    text = script(rows=rows, after=AGAIN)
    ended = room.hold("score", text)
    assert ended.result["void"] is None and ended.code == 0, ended.log
    told, here = scores(ended.log)
    assert told == ended.result["bpb"] == pytest.approx(here, rel=1e-6)
    assert room.hold("score", text).result["bpb"] == told  # to the last bit
    result = ended.result
    assert (result["rows"], result["steps"], result["tokens"]) == (90, 30, 30 * 8 * T)
    assert result["batch_rows"] == rows and result["checkpoint"]
    assert result["fingerprint"] == store.current_fingerprint(room.cache)
    assert min(result[f"{name}_seconds"] for name in ("startup", "training", "exam")) > 0
    for role in ("foreign", "true"):
        worker = room.hold(role, text)
        assert worker.result["void"] is None, worker.log
        room_for_rounding = 1e-5  # of rows among others; the rest is the same to the last bit
        assert worker.result.get("rows", 0.0) <= room_for_rounding
        assert worker.result.get("replay", 0.0) == worker.result.get("twin", 0.0) == 0.0


@pytest.mark.slow
def test_the_template_is_examined_and_verified(room: Room) -> None:
    text = TEMPLATE.read_text(encoding="utf-8")
    results = room.verified(text, budget="12steps")
    assert [result["void"] for result in results.values()] == [None] * 3
    assert results["score"]["steps"] == 12 and results["score"]["tokens"] == 12 * 1024
    assert results["true"]["replay"] == results["true"]["twin"] == 0.0
    assert results["true"]["rows"] <= 1e-5
    log = (room.folder / "score.log").read_text()
    assert f"val_bpb:          {results['score']['bpb']:.6f}\n" in log
    lines = re.search(r"Traceback|Error", log)
    assert lines is None, log


def test_rows_come_in_the_order_of_the_examiners_seed(
    room: Room, limits: Callable[..., None]
) -> None:
    drawn = """
digest = hashlib.sha256()
for _ in range(25):
    for part in batches.next():
        digest.update(part.numpy().tobytes())
print("drawn", digest.hexdigest())
"""
    text = script().replace("while not clock.done():\n", f"{drawn}while not clock.done():\n")
    log = room.hold("score", text, budget="100steps").log
    batches = Batches(open_data(room.cache), 8, CPU, room.seed, Clock(CPU))
    digest = hashlib.sha256()
    for _ in range(25):  # into the third epoch
        for part in batches.next():
            digest.update(part.numpy().tobytes())
    assert f"drawn {digest.hexdigest()}\n" in log


def test_two_loaders_may_ask_in_turn(room: Room) -> None:
    """What one has under way is read before the other's; the tokens of both are counted."""
    both = """
more = Batches(data, 4, CPU, 1, clock)
for _ in range(4):
    x, y = more.next()
    assert x.shape == (4, data.seq_len), x.shape
    step()
    clock.step()
"""
    text = script().replace("while not clock.done():\n", f"{both}while not clock.done():\n", 1)
    ended = room.hold("score", text, budget=f"{16 * 8 * T}tokens")
    assert ended.code == 0 and ended.result["void"] is None, ended.log
    assert ended.result["tokens"] <= 16 * 8 * T + 4 * T


def test_a_budget_of_tokens_is_used_up_and_not_passed(room: Room) -> None:
    result = room.hold("score", script(), budget=f"{10 * 8 * T}tokens").result
    assert (result["void"], result["tokens"], result["steps"]) == (None, 10 * 8 * T, 10)


def test_a_budget_of_steps_is_one_of_tokens_once_a_baseline_tells_how_many(room: Room) -> None:
    seen = {"steps": 30, "tokens": 30 * 8 * T}
    result = room.hold("score", script(), calibration=seen).result
    assert (result["void"], result["tokens"], result["steps"]) == (None, 30 * 8 * T, 30)
    larger = script().replace("batches = Batches(data, 8,", "batches = Batches(data, 16,")
    result = room.hold("score", larger, calibration=seen).result
    assert (result["void"], result["tokens"], result["steps"]) == (None, 30 * 8 * T, 15)
    uncounted = script().replace("    clock.step()\n", "    clock.tokens % 2 or clock.step()\n")
    uncounted = uncounted.replace("    step()\n    clock", "    step(), step()\n    clock")
    result = room.hold("score", uncounted, calibration=seen).result
    assert (result["void"], result["tokens"], result["steps"]) == (None, 30 * 8 * T, 15)


def test_a_score_that_is_not_below_the_threshold_leaves_no_checkpoint(room: Room) -> None:
    result = room.hold("score", script(), threshold=1.0).result
    assert result["bpb"] > 1.0 and not result["checkpoint"]
    assert sorted(path.name for path in room.folder.iterdir()) == [
        "PLAN.json", "score.json", "score.log", "script.py",
    ]  # fmt: skip


def test_memory_that_runs_out_is_the_trials_affair(room: Room) -> None:
    small = """
class Small(Model):
    def forward(self, tokens):
        if len(tokens) > 3:
            raise torch.OutOfMemoryError("too large")
        return self.logits(tokens)
"""
    for full_bytes in (10**9, 0):
        room.full_bytes = full_bytes
        ended = room.hold("score", script(small, "Small", after=AGAIN))
        told, here = scores(ended.log)
        assert told == ended.result["bpb"] == pytest.approx(here, rel=1e-6)


# -- scripts that do not keep to the rules --------------------------------------------------------


def test_after_the_hand_over_there_is_no_second_examination_and_no_row(room: Room) -> None:
    after = """
for ask in (lambda: evaluate(model, data, CPU, 8), batches.next):
    clock._stopped = False
    try:
        ask()
    except Exception as error:
        print("refused:", error)
"""
    log = room.hold("score", script(after=after)).log
    assert "refused: this trial was examined: `evaluate` may be called once" in log
    assert "refused: the model was handed over: no training batch is granted" in log


def test_no_data_is_opened_in_a_trial(room: Room) -> None:
    shown = 'print("rows", data.train.shape, data.val.shape, data.val_bytes, len(data.token_bytes))'
    log = room.hold("score", script(last=shown)).log
    assert f"rows (0, {T + 1}) (0, {T + 1}) 0 {VOCAB}" in log


LOOP = "while not clock.done():\n    step()\n    clock.step()\n"
VOIDS = {
    "a clock that stands still": (
        script(last="").replace(
            "while not clock.done():",
            "time.perf_counter, clock.allow = lambda: 0.0, lambda *_: None\nwhile not clock.done():",
        ),
        {"budget": "1s", "calibration": {"training_seconds": 1.0}},
        ("budget", "training was not over after 2.0 s"),
    ),
    "a budget of tokens that is ignored": (
        script().replace(LOOP, "while True:\n    step()\n"),
        {"budget": f"{10 * 8 * T}tokens"},
        ("budget", f"more than {10 * 8 * T} training tokens were asked for"),
    ),
    "steps that are many for a baseline's tokens": (
        script().replace(LOOP, "while True:\n    step()\n"),
        {"calibration": {"steps": 10, "tokens": 10 * 8 * T}},
        ("budget", f"more than {30 * 8 * T} training tokens were asked for"),
    ),
    "steps that are not counted away": (
        script(last="clock.steps = 31"),
        {},
        ("budget", "31 steps were taken, not 30"),
    ),
    "an end before the hand-over": (
        script(last="sys.exit(3)"),
        {},
        ("exam", "the trial ended before it handed over a model"),
    ),
    "an end during the examination": (
        script("class Dies(Model):\n    def forward(self, tokens):\n        os._exit(1)\n", "Dies"),
        {},
        ("exam", "the trial ended during the examination"),
    ),
    "logits of another shape": (
        script(
            "class Wide(Model):\n    def forward(self, tokens):\n"
            "        return F.pad(self.logits(tokens), (0, 1))\n",
            "Wide",
        ),
        {},
        ("exam", r"the model must return logits of shape \(8, 16, 64\), not \(8, 16, 65\)"),
    ),
    "no module": (
        script(last="import types\nmodel = types.SimpleNamespace(eval=lambda: None)"),
        {},
        ("exam", "the trial ended before it handed over a model"),
    ),
    "a state that is no tensor": (
        script(
            "class Extra(Model):\n    def get_extra_state(self):\n        return {'seen': 1}\n"
            "    def set_extra_state(self, state):\n        pass\n",
            "Extra",
        ),
        {},
        ("exam", "the trial could not answer: '_extra_state' of the model's state_dict is a dict"),
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", VOIDS)
def test_a_script_that_breaks_the_rules_has_no_score(name: str, room: Room) -> None:
    text, plan, (failure, reason) = VOIDS[name]
    ended = room.hold("score", text, **plan)
    assert ended.result["void"] is not None and ended.result["bpb"] is None
    assert ended.result["void"]["failure"] == failure
    assert re.search(reason, ended.result["void"]["reason"]), ended.result
    assert ended.code != 0 and not ended.result["checkpoint"]


def test_a_worker_whose_model_is_another_is_void(room: Room) -> None:
    """What it makes depends on the process: the second one has a wider layer."""
    text = script(
        """
class Grows(Model):
    def __init__(self, vocab):
        super().__init__(vocab)
        open("grown", "a").write(".")
        self.more = nn.Linear(os.stat("grown").st_size, 1)
""",
        "Grows",
    )
    text = text.replace("import torch\n", f"import torch\nos.chdir({str(room.folder)!r})\n", 1)
    results = room.verified(text)
    assert results["score"]["void"] is None
    reason = (
        "a fresh process makes another model: 'more.weight' (1, 1) is 'more.weight' (1, 2) there"
    )
    assert results["foreign"]["void"] == {"failure": "exam", "reason": reason}
    assert results["foreign"]["positions"] is None


def test_data_that_changes_meanwhile_is_no_data(tmp_path: Path, room: Room) -> None:
    room = replace(room, cache=tmp_path / "cache")
    path = prepared(room.cache) / names.VAL
    ended = room.hold("score", script(last=f"os.utime({str(path)!r})"))
    assert ended.result["void"] == {
        "failure": "exam", "reason": f"{path} changed while the trial ran",
    }  # fmt: skip


# -- frames ---------------------------------------------------------------------------------------

HANDOVER = {
    "rows": 8,
    "steps": 1,
    "tokens": 8 * T,
    "tensors": [["w", "float32", [2]]],
    "digest": "",
}
SOON = -14.9  # as the baseline's seconds: four times that and a minute leave 0.4 s


def hello(connection: Connection) -> None:
    connection.send("hello")
    assert connection.receive(1 << 20).kind == "welcome"


def granted(connection: Connection, **changes: Any) -> None:
    hello(connection)
    connection.send("rows", **({"first": 0, "count": 8} | changes))
    assert connection.receive(1 << 20).kind in ("batch", "refused")


def handed(connection: Connection, **changes: Any) -> None:
    granted(connection)
    connection.send("handover", **(HANDOVER | changes))


def answered(connection: Connection, kind: str, logits: np.ndarray) -> None:
    handed(connection)
    assert connection.receive(1 << 20).kind == "ask"
    connection.send(kind, logits.astype(np.float32))


def raw(content: bytes) -> Callable[[Connection], None]:
    return lambda connection: connection.more(content)


BROKE, ENDED = "the trial broke the rules of the exam", "the trial ended before it handed over"
WHOLE = np.zeros((8 * T, VOCAB))
FRAMES: dict[str, tuple[Callable[[Connection], None], str]] = {
    "nothing": (lambda connection: connection.close(), ENDED),
    "half a frame": (raw(b"\0\0\0\x20{"), "no training batch was asked for in"),
    "noise": (raw(bytes(range(256)) * 300), BROKE),
    "a header of 4 GB": (raw(b"\xff" * 64), BROKE),
    "a header that is nested": (raw(struct.pack(">I", 99_999) + b"[" * 99_999), BROKE),
    "a header that is a list": (raw(b"\0\0\0\x02[]"), BROKE),
    "a payload nobody asked for": (lambda connection: connection.send("hello", b"x" * 10), BROKE),
    "rows before hello": (lambda connection: connection.send("rows", first=0, count=8), BROKE),
    "a hand-over before any row": (
        lambda connection: (hello(connection), connection.send("handover", **HANDOVER))[0],
        "before any training batch was granted",
    ),
    "no rows": (lambda connection: granted(connection, count=0), BROKE),
    "rows below none": (lambda connection: granted(connection, first=-1), BROKE),
    "a million rows": (lambda connection: granted(connection, count=10**6), BROKE),
    "a true of rows": (lambda connection: granted(connection, count=True), BROKE),
    "batches without rows": (lambda connection: handed(connection, rows=0), BROKE),
    "a tensor of objects": (
        lambda connection: handed(connection, tensors=[["w", "object", [1]]]),
        BROKE,
    ),
    "a tensor of no shape": (
        lambda connection: handed(connection, tensors=[["w", "int8", [-1]]]),
        BROKE,
    ),
    "tensors without end": (
        lambda connection: handed(connection, tensors=[["w", "int8", [10**12]]]),
        "a state_dict of 1000 GB",
    ),
    "a row after the hand-over": (
        lambda connection: (
            handed(connection),
            connection.receive(1 << 20),
            connection.send("rows", first=0, count=8),
        )[0],
        BROKE,
    ),
    "nan": (
        lambda connection: answered(
            connection, "logits", np.where(np.eye(8 * T, VOCAB), np.nan, 0)
        ),
        "the model's logits are not all finite",
    ),
    "inf": (
        lambda connection: answered(
            connection, "logits", np.where(np.eye(8 * T, VOCAB), -np.inf, 0)
        ),
        "the model's logits are not all finite",
    ),
    "huge logits": (
        lambda connection: answered(
            connection, "logits", np.where(np.eye(8 * T, VOCAB), 3e38, -3e38)
        ),
        "too large to be scored",
    ),
    "half a row of logits": (
        lambda connection: answered(connection, "logits", WHOLE[: T // 2]),
        BROKE,
    ),
    "too many logits": (
        lambda connection: answered(connection, "logits", np.tile(WHOLE, (2, 1))),
        BROKE,
    ),
    "losses where logits are due": (
        lambda connection: answered(connection, "losses", WHOLE),
        BROKE,
    ),
    "no answer": (lambda connection: answered(connection, "logits", WHOLE), "four times as long"),
}


def test_an_examiner_takes_the_data_of_its_plan_and_not_what_was_prepared_last(
    small_cache: Path, tmp_path: Path, nursery: Nursery
) -> None:
    cache = tmp_path / "cache"
    shutil.copytree(small_cache, cache)
    mine = names.current_name(cache)
    assert mine is not None
    (cache / names.CURRENT).write_text("another\n")
    with Room(cache, tmp_path / "room", nursery).examiner(data=mine) as connection:
        connection.send("hello")
        welcome = connection.receive(1 << 20)
        assert welcome.fields["folder"] == str(cache / mine)


@pytest.mark.parametrize("name", FRAMES)
def test_forged_frames_are_no_score_and_no_crash(name: str, room: Room) -> None:
    forge, reason = FRAMES[name]
    soon = {"startup_seconds": SOON, "training_seconds": 1.0, "exam_seconds": SOON}
    with room.examiner(calibration=soon) as connection:
        forge(connection)
        deadline = time.monotonic() + 60
        while not (room.folder / "score.json").exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)
    result = room.result()
    late = name in ("half a frame", "no answer")
    assert result["void"]["failure"] == ("budget" if late else "exam") and result["bpb"] is None
    assert reason in result["void"]["reason"], result


def test_the_examiner_ends_with_the_tool(room: Room) -> None:
    room.ends_with = 3
    with room.started() as theirs:
        assert room.process is not None and room.process.stdin is not None
        room.process.stdin.close()
    assert theirs.recv(1) == b"" and not (room.folder / "score.json").exists()
    theirs.close()


def all_frames(connection: Connection) -> None:
    while True:
        connection.receive(8, time.monotonic() + 0.02)


def test_frames_of_noise_raise_one_error_and_never_hang() -> None:
    rng = random.Random(0)
    for _ in range(300):
        ours, theirs = pair()
        noise = rng.randbytes(rng.randrange(0, 60))
        if rng.random() < 0.7:  # a length that is believable, or a whole header
            header = rng.choice(
                [noise, b'{"kind": "a", "bytes": ' + noise[:3] + b"}", b'{"kind": 1, "bytes": 1}']
            )
            noise = struct.pack(">I", len(header)) + header + noise
        theirs.sendall(noise)
        if rng.random() < 0.5:
            theirs.close()
        with pytest.raises(ProtocolError):
            all_frames(Connection(ours))
        ours.close()
        theirs.close()


def test_a_frame_comes_as_it_was_sent_and_in_time() -> None:
    ours, theirs = pair()
    left, right = Connection(ours), Connection(theirs)
    content = np.arange(20, dtype=np.uint16).reshape(4, 5)
    left.send("some", content, more=[1, None, "ä"])
    frame = right.receive(40)
    assert (frame.kind, frame.fields) == ("some", {"more": [1, None, "ä"]})
    assert np.array_equal(np.frombuffer(frame.payload, np.uint16).reshape(4, 5), content)
    with pytest.raises(LateError):  # nobody reads it
        left.send("much", bytes(1 << 24), time.monotonic() + 0.05)
    with pytest.raises(LateError):
        left.receive(0, time.monotonic() + 0.05)
    ours.close(), theirs.close()


# -- arithmetic -----------------------------------------------------------------------------------


def test_losses_and_divergences_are_those_of_torch_in_double_precision() -> None:
    rng = np.random.default_rng(0)
    logits = (10 * rng.standard_normal((5000, 100))).astype(np.float32)  # several slices
    targets = rng.integers(0, 100, 5000)
    wide = torch.from_numpy(logits).double().log_softmax(1)
    wanted = -wide[torch.arange(5000), torch.from_numpy(targets)]
    assert (
        np.abs(losses(logits, targets) - wanted.numpy()).max() < 1e-5
    )  # the losses reach 60, whose neighbours in fp32 are 4e-6 away
    other = logits + rng.standard_normal((5000, 100)).astype(np.float32)
    q = torch.from_numpy(other).double().log_softmax(1)
    apart = (wide.exp() * (wide - q)).sum(1).numpy()
    assert divergences(logits, other) == pytest.approx(apart)
    assert divergences(logits, logits).max() == 0.0
    with pytest.raises(AnswerError):
        losses(np.full((1, 4), np.nan, np.float32), np.array([0]))


def test_every_position_but_the_last_may_be_picked() -> None:
    picks = draw_picks(np.random.default_rng(0), 3000, 9)
    assert set(picks[:, 0]) == set(picks.flatten()) == set(range(8))
    assert (picks[:, 1:] <= picks[:, :1]).all()


def test_what_is_forgiven_follows_from_the_baseline() -> None:
    known = {"training_seconds": 310.0, "startup_seconds": 20.0, "tokens": 1000, "steps": 10}
    plan = Plan("score", 3, "", "", 1, "cuda", "300s", None, known)
    assert plan.training() == TimeLimit(300, pytest.approx(303 + 1 + 20), "wall")
    assert plan.startup() == TimeLimit(70, 70, "wall")
    assert plan.allowance_s("startup_seconds") == 140 and plan.allowance_s("exam_seconds") is None
    tokens = replace(plan, budget="9steps")
    assert tokens.trial_budget == Budget(900, "tokens")
    limit = tokens.training()
    assert limit is not None and limit.of == "wall" and limit.told_s == 2.3 * 310 + 0.5
    assert tokens.training_wall_s() == limit.most_s == pytest.approx(1.1 * limit.told_s + 0.5)
    first = replace(plan, budget="9steps", calibration=None)
    assert first.trial_budget == Budget(9, "steps")
    assert (first.startup(), first.training(), first.training_wall_s()) == (None, None, None)


def test_on_a_cpu_time_is_the_processors() -> None:
    known = {"training_seconds": 10.0, "startup_seconds": 20.0}
    counted = {"training_processor_s": 20.0, "startup_processor_s": 4.0}
    plan = Plan("score", 3, "", "", 1, "cpu", "100tokens", None, known | counted)
    assert plan.startup() == TimeLimit(
        *[STARTUP["processor"][0] * 4 + STARTUP["processor"][1]] * 2, "processor"
    )
    limit = plan.training()
    assert limit == TimeLimit(46.5, pytest.approx(51.65), "processor")
    assert plan.training_wall_s() == 4 * 2.3 * 10  # a busy machine may take its time
    old = replace(plan, calibration=known)  # a run whose baseline's was not counted
    assert (old.startup(), old.training()) == (None, None)
    assert old.training_wall_s() == 4 * 2.3 * 10
    assert replace(old, calibration={"training_seconds": 2.0}).training_wall_s() == 60
    seconds = replace(plan, budget="9s").training()
    assert seconds is not None and seconds.of == "wall"


def test_a_variable_that_names_no_socket_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for number in ("987654", "-1", "x", "9" * 30):
        monkeypatch.setenv(EXAMINER_VARIABLE, number)
        with pytest.raises(HarnessError, match="which is no open socket: it is set by the tool"):
            open_data()
