"""Researchers end to end: `autoresearch run` as a process, both SDKs against a server on loopback."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from autoresearch.ledger.state import State
from tests.labs import TRAIN, Lab, make_lab, swap, whole
from tests.loopback import Drop, ErrorEvent, Fault, Loopback, Request, Stall, Step, Text

KEY = "sk-test-0123456789abcdef"
PLAIN = 'print("val_bpb: 2.000000")\n'
LOWER = swap("a lower rate", "LR = 0.5", "LR = 0.3")
KINDS = ["anthropic", "openai"]


def environment(kind: str, server: Loopback, key: str = KEY) -> dict[str, str]:
    name = kind.upper()
    url = server.url + ("/v1" if kind == "openai" else "")
    return {f"{name}_API_KEY": key, f"{name}_BASE_URL": url}


def asked(request: Request) -> list[str]:
    """What was said in a request, oldest first, the system's words left out."""
    return [m["content"] for m in request.json["messages"] if m["role"] != "system"]


def one(
    folder: Path, *steps: Step, kind: str = "anthropic", code: int = 0, rest: str = "",
    most: int = 1, **given: Any,
) -> tuple[Lab, Loopback, str]:  # fmt: skip
    """A lab, the server after `run`, and what was printed."""
    lab = make_lab(folder, researcher=f'kind = "{kind}"\n{rest}', **given)
    with Loopback(steps) as server:
        done = lab.cli("run", "--max", str(most), code=code, **environment(kind, server))
    return lab, server, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_an_answer_becomes_an_experiment(tmp_path: Path, kind: str, stream: bool) -> None:
    price = {"anthropic": "claude-sonnet-4-5", "openai": "gpt-5"}[kind]
    answer = Text(LOWER, stream=stream, usage=(2000, 300))
    lab, server, printed = one(tmp_path, answer, kind=kind, rest=f'model = "{price}"')
    assert [row[1:] for row in lab.rows()] == [
        ["1.464000", "2.0", "keep", "baseline"],
        ["1.264000", "2.0", "keep", "a lower rate"],
    ]
    assert lab.branch() == ["the start", "a lower rate"]
    assert lab.file(1, "answer.txt") == LOWER
    assert lab.file(1, "prompt.txt") == asked(server.requests[0])[0]
    assert "+LR = 0.3" in lab.file(1, "candidate.patch")
    record = lab.record(1)
    assert record["researcher"] == kind and record["hypothesis"] == "because"
    usd = {"anthropic": 2000 * 3 + 300 * 15, "openai": 2000 * 1.25 + 300 * 10}[kind] / 1e6
    assert record["usage"]["input_tokens"] == 2000 and record["usage"]["output_tokens"] == 300
    assert record["usage"]["usd"] == pytest.approx(usd)
    assert f"${usd:.2f}" in lab.cli("status").stdout
    assert KEY not in printed


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_server_in_the_configuration_gets_the_key_named_for_it(tmp_path: Path, kind: str) -> None:
    with Loopback([Text(LOWER)]) as server, Loopback() as elsewhere:
        url = server.url + ("/v1" if kind == "openai" else "")
        rest = f'kind = "{kind}"\nbase_url = "{url}"\nkey_env = "MY_KEY"\nmodel = "local"'
        lab = make_lab(tmp_path, researcher=rest)
        env = environment(kind, elsewhere, "sk-not-this-one-0123")
        lab.cli("run", "--max", "1", MY_KEY="my-own-key-42", **env)
        assert elsewhere.requests == []
        shown = json.dumps(server.requests[0].headers)
        assert "my-own-key-42" in shown and "not-this-one" not in shown
        assert server.requests[0].json["model"] == "local"
    assert lab.statuses() == ["keep", "keep"] and lab.record(1)["usage"]["usd"] is None


@pytest.mark.slow
def test_auto_takes_the_first_key_then_a_command_then_knobs(tmp_path: Path) -> None:
    lab = make_lab(tmp_path, researcher='kind = "auto"')
    with Loopback([Text(LOWER)] * 2) as claude, Loopback([Text(LOWER)] * 2) as gpt:
        both = {**environment("anthropic", claude), **environment("openai", gpt)}
        lab.cli("run", "--max", "1", **both)
        assert len(claude.requests) == 1 and gpt.requests == []
        second = swap("wider", "WIDTH = 64", "WIDTH = 96")
        both.pop("ANTHROPIC_API_KEY")
        gpt._steps = iter([Text(second)])
        lab.cli("run", "--max", "1", **both)
        assert len(claude.requests) == 1 and len(gpt.requests) == 1
    lab.cli("run", "--max", "1")
    config = (lab.root / "autoresearch.toml").read_text()
    said = 'command = ["sh", "-c", "sed -i s/0.3/0.25/ train.py; echo sed"]'
    (lab.root / "autoresearch.toml").write_text(config.replace('"auto"', f'"auto"\n{said}'))
    lab.cli("run", "--max", "1", "--researcher", "auto")
    used = [lab.record(n)["researcher"] for n in range(5)]
    assert used == ["baseline", "anthropic", "openai", "knobs", "command"]


# -- outages and refusals ---------------------------------------------------------------------


OUTAGES = [
    Fault(429, "rate_limit_error"), Fault(500), Fault(529, "overloaded_error"),
    ErrorEvent("overloaded_error"), Drop("before"), Drop("middle"), Text("half", done=False),
    Fault(503, headers={"retry-after": "0"}),
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_every_outage_is_sat_out_and_uses_up_no_experiment(tmp_path: Path, kind: str) -> None:
    steps: list[Step] = []
    for n, outage in enumerate(OUTAGES):
        steps += [outage, Text(whole(f"after outage {n}", f'print("val_bpb: {2 + n}")\n'))]
    lab, server, printed = one(tmp_path, *steps, kind=kind, most=len(OUTAGES))
    assert len(server.requests) == len(steps)
    assert printed.count("waiting 1 s") == len(OUTAGES)
    assert lab.statuses() == ["keep"] + ["discard"] * len(OUTAGES)
    assert len(lab.records("answer")) == len(OUTAGES) and lab.records("refused") == []


@pytest.mark.slow
def test_a_pause_is_as_long_as_the_provider_asks(tmp_path: Path) -> None:
    wait = Fault(429, "rate_limit_error", headers={"retry-after": "2.5"})
    began = time.monotonic()
    lab, _, printed = one(tmp_path, wait, Text(LOWER))
    assert "waiting 2 s" in printed and time.monotonic() - began > 2.5
    assert lab.statuses() == ["keep", "keep"]


@pytest.mark.slow
def test_an_outage_without_end_stops_the_run_where_it_can_go_on(tmp_path: Path) -> None:
    steps = [Fault(529, "overloaded_error", headers={"retry-after": "0"})] * 50
    lab, server, printed = one(tmp_path, *steps, rest="retry_hours = 0.0005", code=1)
    assert len(server.requests) in (1, 2)  # 1.8 s: a provider that asks for no pause gets one
    assert "could not be reached" in printed and "retry_hours" in printed
    with Loopback([Text(LOWER)]) as later:
        lab.cli("run", "--max", "1", **environment("anthropic", later))
    assert lab.statuses() == ["keep", "keep"]


@pytest.mark.slow
def test_what_a_broken_answer_cost_counts(tmp_path: Path) -> None:
    haiku = 'model = "claude-haiku-4-5"'  # a dollar per million tokens read
    lab = make_lab(tmp_path, researcher=f'kind = "anthropic"\n{haiku}')
    with Loopback([Drop("middle"), Drop("middle"), Text(LOWER, usage=(500, 0))]) as server:
        env = environment("anthropic", server)
        lab.cli("run", "--max-usd", "0.0005", **env)
        assert len(server.requests) == 1 and lab.stopped() == "reached --max-usd 0.0005"
        broken = {"input_tokens": 1000, "output_tokens": 1, "usd": pytest.approx(0.001005)}
        assert [record["usage"] for record in lab.records("spent")] == [broken]
        lab.cli("run", "--max", "1", **env)
        assert len(server.requests) == 3
    assert len(lab.records("spent")) == 2
    usage = lab.record(1)["usage"]
    assert (usage["input_tokens"], usage["output_tokens"]) == (2500, 2)
    assert usage["usd"] == pytest.approx(0.00251)
    state = State.of(lab.records())
    assert (state.usd, state.input_tokens) == (pytest.approx(0.00251), 2500)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("when", ["before", "middle"])
def test_three_answers_out_of_time_are_a_failure_of_the_proposal(
    tmp_path: Path, kind: str, when: str
) -> None:
    late = Stall(30, when)
    steps = [Fault(529), late, late, late, Text(LOWER)]
    lab, server, printed = one(tmp_path, *steps, kind=kind, rest="timeout_s = 0.5")
    assert len(server.requests) == 5 and lab.statuses() == ["keep", "keep"]
    (refused,) = lab.records("refused")
    assert refused["reason"].startswith("no answer in 3 tries")
    assert "#1 refused: no answer in 3 tries" in printed
    assert "Refused since then" in asked(server.requests[4])[0]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "rest", "reached"),
    [
        (("--hours", "0.02"), "", "--hours 0.02"),
        ((), "[budget]\nhours = 0.02", "budget.hours = 0.02"),
    ],
)
def test_no_wait_goes_beyond_the_runs_hours(
    tmp_path: Path, arguments: tuple[str, ...], rest: str, reached: str
) -> None:
    lab = make_lab(tmp_path, researcher='kind = "anthropic"', rest=rest)
    wait = Fault(429, "rate_limit_error", headers={"retry-after": "600"})
    began = time.monotonic()
    with Loopback([wait]) as server:
        done = lab.cli("run", *arguments, **environment("anthropic", server))
    assert lab.stopped() == f"reached {reached}" and time.monotonic() - began < 50
    assert "hours would end before that wait" in done.stdout
    with Loopback([Text(LOWER)]) as server:
        lab.cli("run", "--max", "1", **environment("anthropic", server))
    assert lab.statuses() == ["keep", "keep"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "step", "says"),
    [
        ("anthropic", Fault(401, "authentication_error", f"invalid {KEY}"), "ANTHROPIC_API_KEY"),
        ("openai", Fault(401, "invalid_api_key", f"Incorrect key: {KEY}"), "OPENAI_API_KEY"),
        ("anthropic", Fault(404, "not_found_error", "model: nope"), "[researcher] model"),
        ("openai", Fault(404, "model_not_found", "no such model"), "[researcher] model"),
        ("anthropic", Fault(400, message="Your credit balance is too low"), "credit"),
        ("openai", Fault(429, "insufficient_quota", "You exceeded your quota"), "credit"),
    ],
)
def test_what_waiting_cannot_mend_is_one_clear_line(
    tmp_path: Path, kind: str, step: Step, says: str
) -> None:
    lab, server, printed = one(tmp_path, step, kind=kind, code=1)
    error = printed[printed.index("error: ") :]
    assert says in error and error.count("\n") == 1 and KEY not in printed
    assert len(server.requests) == 1 and lab.statuses() == ["keep"]
    assert KEY not in (lab.state / "journal").read_text()
    assert lab.stopped() in error


def test_no_key_is_one_clear_line(tmp_path: Path) -> None:
    lab = make_lab(tmp_path, researcher='kind = "openai"')
    refused = lab.cli("run", code=1)
    assert "OPENAI_API_KEY" in refused.stderr and refused.stderr.count("\n") == 1


# -- answers that can't be used ---------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_block_that_does_not_fit_is_told_and_given_again(tmp_path: Path, kind: str) -> None:
    bad = swap("a lower rate", "LR = 0.05", "LR = 0.3")
    lab, server, printed = one(tmp_path, Text(bad), Text(LOWER), kind=kind)
    first, second = server.requests
    said = asked(second)
    assert said[:2] == [*asked(first), bad] and len(said) == 3
    assert "block 1 (train.py)" in said[2] and "LR = 0.5" in said[2]
    assert lab.statuses() == ["keep", "keep"] and "asking again" in printed
    assert lab.file(1, "answer.txt") == LOWER
    assert [record["text"] for record in lab.records("answer")] == [bad, LOWER]
    assert lab.record(1)["usage"]["input_tokens"] == 2000


@pytest.mark.slow
def test_three_bad_answers_are_a_failure_without_a_row(tmp_path: Path) -> None:
    bad = [Text(f"I would rather not. {n}") for n in range(3)]
    lab, server, printed = one(tmp_path, *bad, Text(LOWER))
    assert [len(asked(request)) for request in server.requests] == [1, 3, 5, 1]
    assert len(lab.rows()) == 2 and len(lab.records("refused")) == 1
    assert "#1 refused: The answer holds no block" in printed
    told = asked(server.requests[3])[0]
    assert "Refused since then" in told and "The answer holds no block" in told


REFUSED = [
    (whole("x", "be kind\n", "program.md"), "program.md"),
    (whole("x", "[task]\n", "autoresearch.toml"), "autoresearch.toml"),
    (whole("x", "* text\n", ".gitattributes"), ".gitattributes"),
    (whole("x", "1\n", "new.py"), "new.py"),
    (whole("x", "1\n", "../out.py"), "out.py"),
    (swap("x", "LR = 0.5", "LR = 0.5  # a note"), "comments and layout alone"),
    (whole("x", TRAIN), "changes nothing"),
    (swap("x", "LR = 0.5", "LR = 0.5"), ""),
    ("", ""),
]


@pytest.mark.slow
def test_what_the_guard_refuses_is_told_to_the_model(tmp_path: Path) -> None:
    steps = []
    for n, (answer, _) in enumerate(REFUSED):
        steps += [Text(answer), Text(swap(f"worse {n}", "LR = 0.5", f"LR = {n + 1}.0"))]
    lab, server, _ = one(tmp_path, *steps, most=len(REFUSED))
    told = [asked(request)[2] for request in server.requests[1::2]]
    for (answer, says), said in zip(REFUSED, told, strict=True):
        assert says in said, answer
    assert lab.statuses() == ["keep"] + ["discard"] * len(REFUSED)
    trees = {lab.git("ls-tree", "-r", "--name-only", row[0]) for row in lab.rows()}
    assert trees == {"autoresearch.toml\nprogram.md\ntrain.py\n"}


@pytest.mark.slow
def test_the_same_files_again_are_refused(tmp_path: Path) -> None:
    worse = swap("worse", "LR = 0.5", "LR = 0.9")
    steps = [Text(worse), Text(worse), Text(LOWER)]
    lab, server, _ = one(tmp_path, *steps, most=2)
    assert "the same files as experiment 1" in asked(server.requests[2])[2]
    assert lab.statuses() == ["keep", "discard", "keep"]


# -- the prompt -------------------------------------------------------------------------------


def test_what_a_model_is_told(tmp_path: Path) -> None:
    noisy = TRAIN + 'for n in range(3000):\n    print("noise", n)\nprint("`" * 5, "\\033[31mred")\n'
    prepare = '"""Frozen."""\n\nBUDGET_S = 300\n\ndef evaluate(model):\n    """The score."""\n'
    lab, server, _ = one(
        tmp_path,
        Text(swap("wider", "WIDTH = 64", "WIDTH = 100")),
        Text("lesson: wider helped\n" + whole("crash", "1 / 0\n", old=noisy.replace("64", "100"))),
        Text(swap("again", "LR = 0.5", "LR = 0.4")),
        most=3, train=noisy, files={"prepare.py": prepare},
    )  # fmt: skip
    prompts = [asked(request)[0] for request in server.requests]
    for prompt in prompts:
        assert "The charter: lower is better." in prompt
        assert "def evaluate(model)" in prompt and "BUDGET_S = 300" in prompt
        assert "    return" not in prompt and "autoresearch.toml" in prompt
        assert len(prompt.encode()) < 16_000
    assert "WIDTH = 64" in prompts[0] and "WIDTH = 100" in prompts[1]
    assert "1 | 1.428000 | keep | wider | better by 0.036000" in prompts[1]
    log = prompts[1].split("The end of its log")[1].split("## The files")[0]
    fence = log.split("\n\n")[1].splitlines()[0]
    assert set(fence) == {"`"} and len(fence) > 5 and "red" in log and "\033" not in log
    assert len(log.encode()) < 4500 and "noise 2999" in log
    assert "2 | - | crash | crash | exited with 1" in prompts[2]
    assert "ZeroDivisionError" in prompts[2] and "1 / 0" not in prompts[2].split("## The files")[1]
    musings = (lab.root / "musings.md").read_text()
    assert "## 1: wider\n\nWhy: because\n" in musings
    assert (
        "Outcome: keep, val_bpb 1.428000, better by 0.036000.\n\nLearned: wider helped" in musings
    )


@pytest.mark.slow
def test_an_answer_is_journaled_before_it_is_read(tmp_path: Path) -> None:
    lab, _, _ = one(tmp_path, Text("nothing"), Text(LOWER))
    kinds = [record["kind"] for record in lab.records()]
    begin = kinds.index("ask")
    assert kinds[begin:-1] == ["ask", "answer", "answer", "candidate", "trial", "result"]


@pytest.mark.slow
def test_musings_hold_the_idea_before_its_trial(tmp_path: Path) -> None:
    peek = 'import os\nprint(open("{}").read())\nprint("val_bpb: 1.000000")\n'
    path = tmp_path / "lab" / "musings.md"
    lab, _, _ = one(tmp_path, Text(whole("look", peek.format(path), old=PLAIN)), train=PLAIN)
    assert "## 1: look\n" in lab.file(1, "trial.log")
    assert "Outcome: keep" not in lab.file(1, "trial.log").split("## 1")[1]
    assert "Outcome: keep" in path.read_text().split("## 1")[1]


# -- programs ---------------------------------------------------------------------------------


def program(folder: Path, script: str, rest: str = "", **given: Any) -> Lab:
    file = folder / "program.sh"
    file.write_text(script)
    researcher = f'kind = "command"\ncommand = ["sh", "{file}"]\n{rest}'
    return make_lab(folder, researcher=researcher, **given)


@pytest.mark.slow
def test_a_program_edits_files_and_says_why(tmp_path: Path) -> None:
    script = """\
cat > "$0.prompt"
echo thinking
echo 'description: a lower rate'
echo 'hypothesis: it was high'
echo "mine is $MINE, $ANTHROPIC_API_KEY"
sed -i 's/LR = 0.5/LR = 0.3/' train.py
"""
    lab = program(tmp_path, script)
    lab.cli("run", "--max", "1", MINE="here", ANTHROPIC_API_KEY=KEY)
    assert lab.rows()[1][3:] == ["keep", "a lower rate"]
    assert lab.record(1)["hypothesis"] == "it was high"
    assert (tmp_path / "program.sh.prompt").read_text() == lab.file(1, "prompt.txt")
    assert f"mine is here, {KEY}" in lab.file(1, "answer.txt")  # the user's own program said it
    assert lab.git("status", "--porcelain") == ""


@pytest.mark.slow
def test_the_last_line_describes_and_own_commits_are_squashed(tmp_path: Path) -> None:
    script = """\
sed -i 's/LR = 0.5/LR = 0.4/' train.py && git commit -qam one
sed -i 's/LR = 0.4/LR = 0.3/' train.py && git commit -qam two
git checkout -q -b mine
mkdir -p __pycache__ && echo x > __pycache__/x.pyc && echo junk > ignored.log
echo 'lowered the rate twice'
"""
    lab = program(tmp_path, script, files={".gitignore": "*.log\n__pycache__/\n"})
    lab.cli("run", "--max", "1")
    assert lab.rows()[1][3:] == ["keep", "lowered the rate twice"]
    assert lab.branch() == ["the start", "lowered the rate twice"]
    assert lab.git("diff", "--name-only", "autoresearch/t~", "autoresearch/t") == "train.py\n"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("script", "rest", "says"),
    [
        ("echo no network; exit 9", "", "the program exited with 9: no network"),
        ("sleep 600 & sleep 600", "timeout_s = 0.5", "killed at researcher.timeout_s = 0.5 s"),
        ("echo nothing to do", "", "the program changed no file"),
        ("echo x >> program.md", "", "program.md"),
        ("echo x > new.py", "", "new.py"),
        ("rm train.py; ln -s program.md train.py", "", "train.py"),
        ("echo x > .gitattributes", "", ".gitattributes"),
        ("sed -i 's/0.5/0.3/' train.py; echo x >> autoresearch.toml", "", "autoresearch.toml"),
    ],
)
def test_a_program_that_fails_or_oversteps_makes_no_row(
    tmp_path: Path, script: str, rest: str, says: str
) -> None:
    lab = program(tmp_path, script + "\n", rest)
    config = (lab.root / "autoresearch.toml").read_text()
    (lab.root / "autoresearch.toml").write_text(config + "[budget]\nconsecutive_failures = 2\n")
    stopped = lab.cli("run", code=1)
    assert says in stopped.stderr and "2 failures in a row" in stopped.stderr
    assert lab.statuses() == ["keep"] and lab.branch() == ["the start"]


@pytest.mark.slow
def test_knobs_improve_a_toy(tmp_path: Path) -> None:
    lab = make_lab(tmp_path)
    lab.cli("run", "--max", "12")
    values = [float(row[1]) for row in lab.rows()]
    assert len(values) == 13 and min(values) < values[0] and lab.statuses().count("keep") > 1
    assert lab.statuses().count("crash") == 0


@pytest.mark.slow
def test_a_description_of_the_command_line_stands_where_a_researcher_gives_none(
    tmp_path: Path,
) -> None:
    answer = LOWER.replace("description: a lower rate\n", "")
    lab = make_lab(tmp_path, researcher='kind = "anthropic"')
    other = answer.replace("0.3", "0.2").replace("0.5", "0.3")
    with Loopback([Text(answer), Text(other)]) as server:
        env = environment("anthropic", server)
        lab.cli("run", "--max", "1", "--desc", "an unnamed idea", **env)
        lab.cli("run", "--max", "1", **env)
    assert [row[4] for row in lab.rows()[1:]] == ["an unnamed idea", "edit train.py"]


@pytest.mark.slow
def test_a_program_that_floods_is_read_in_bounds(tmp_path: Path) -> None:
    script = """\
for n in $(seq 200000); do echo "thinking about $n, and about much else besides"; done
sed -i 's/LR = 0.5/LR = 0.3/' train.py
echo 'description: at last'
"""
    lab = program(tmp_path, script)
    lab.cli("run", "--max", "1")
    assert lab.rows()[1][3:] == ["keep", "at last"]
    assert len(lab.file(1, "answer.txt")) <= 20_000
