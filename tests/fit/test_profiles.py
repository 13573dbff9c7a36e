"""Profiles by device: what they hold, how they are chosen, written and estimated, by `init` and `doctor`."""

from __future__ import annotations

import importlib.util
import json
import os
import re
from pathlib import Path

import pytest

import autoresearch
from autoresearch import config
from autoresearch.errors import UsageError
from autoresearch.fit import constants, device
from autoresearch.fit.estimates import (
    Estimate,
    Model,
    computed,
    memory_of,
    observed,
    peak_memory_mb,
)
from autoresearch.fit.profiles import PROFILES, Device, changed, choose
from autoresearch.fit.rewrite import RewriteError, with_constants, with_profile, with_settings
from autoresearch.records import Experiment
from tests.conftest import Lab, MakeLab

TEMPLATE = Path(autoresearch.__file__).parent / "template"
TRAIN = (TEMPLATE / "train.py").read_bytes()
TOML = (TEMPLATE / "autoresearch.toml").read_bytes()


def card(memory_mb: int, name: str = "NVIDIA A card", count: int = 1) -> Device:
    return Device("cuda", name, memory_mb, count=count)


# -- the table --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PROFILES)
def test_every_knob_is_one_line_of_the_template(name: str) -> None:
    for knob, value in PROFILES[name].knobs.items():
        lines = re.findall(rf"(?m)^{knob} = [^#\n]+  # \S.*$", TRAIN.decode())
        assert len(lines) == 1, knob
        assert type(constants.values(TRAIN)[knob]) is type(value), knob


def test_the_template_as_it_ships_is_the_cpus() -> None:
    assert with_profile(TRAIN, TOML, PROFILES["cpu"]) == (TRAIN, TOML)


def test_the_table_in_the_documentation() -> None:
    text = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text()
    for name, profile in PROFILES.items():
        knobs, settings = profile.knobs, profile.settings
        row, each = settings.seq_len, int(knobs["DEVICE_BATCH"]) * settings.seq_len
        told = f"{knobs['DEPTH']} x {knobs['DIM']} | {row} | {each}, {knobs['TOTAL_BATCH']}"
        [line] = [line for line in text.splitlines() if line.startswith(f"| `{name}` | ")]
        assert line.endswith(f" | {told} | {settings.source} | {settings.budget} |")


@pytest.mark.parametrize("name", PROFILES)
def test_a_profile_passes_its_own_checks_and_fits_its_smallest_card(name: str) -> None:
    profile = PROFILES[name]
    assert changed(profile, []) == profile
    train, toml = with_profile(TRAIN, TOML, profile)
    assert {**constants.values(TRAIN), **profile.knobs} == constants.values(train)
    written = config.parse(toml)
    assert written.harness == profile.settings and written.task.timeout_s == profile.timeout_s
    for source, now in ((TRAIN, train), (TOML, toml)):
        comments = [line.partition(b"#")[2] for line in source.splitlines()]
        assert [line.partition(b"#")[2] for line in now.splitlines()] == comments
    tokens = int(profile.knobs["DEVICE_BATCH"]) * profile.settings.seq_len
    assert int(profile.knobs["TOTAL_BATCH"]) % tokens == 0
    if profile.kind == "cuda":
        old = profile.least_mb < 20_000  # cards without bfloat16 have up to 16 GB, but for a few
        peak_mb = peak_memory_mb(profile.knobs, profile.settings, "cuda", float32=old)
        assert 0.05 * profile.least_mb < peak_mb <= 0.85 * profile.least_mb
    machine = Device(profile.kind, "unknown", profile.least_mb, cores=2)
    estimate = computed(profile.knobs, profile.settings, machine, profile.tflops)
    assert estimate.warning(profile.timeout_s) is None and estimate.exam_s < 30


@pytest.mark.parametrize(
    ("memory_mb", "name"),
    [
        (183_000, "80gb"), (143_771, "80gb"), (81_559, "80gb"), (65_000, "40gb"), (46_068, "40gb"),
        (40_960, "40gb"), (32_607, "24gb"), (24_564, "24gb"), (23_034, "24gb"), (16_376, "16gb"),
        (15_109, "16gb"), (12_288, "8gb"), (11_264, "8gb"), (8_188, "8gb"), (6_144, "6gb"),
        (5_926, "6gb"), (4_096, "cpu"), (2_048, "cpu"),
    ],
)  # fmt: skip
def test_a_card_gets_the_largest_profile_that_it_holds(memory_mb: int, name: str) -> None:
    assert choose(card(memory_mb)).name == name


def test_other_devices_and_a_name() -> None:
    assert choose(Device("cpu", "CPU", 500_000, cores=64)).name == "cpu"
    assert choose(Device("mps", "Apple GPU", 8192, cores=8)).name == "mps"
    assert choose(Device("cpu", "CPU", 500_000), "80gb").name == "80gb"
    with pytest.raises(UsageError, match="--profile 81gb: there are 80gb, 40gb"):
        choose(card(1), "81gb")


def test_single_values() -> None:
    sets = ["DEPTH=6", "TOTAL_BATCH = 2**17", "WINDOW=SL", "ROPE_BASE=50_000", "budget='60s'"]
    made = changed(PROFILES["80gb"], [*sets, "timeout_s=900", "DEVICE_BATCH=6_4"])
    assert made.knobs["DEPTH"] == 6 and made.knobs["TOTAL_BATCH"] == 2**17
    assert made.knobs["WINDOW"] == "SL" and made.knobs["ROPE_BASE"] == 50_000.0
    assert made.settings.budget == "60s"
    assert made.timeout_s == 900 and PROFILES["80gb"].knobs["DEPTH"] == 9
    assert type(made.knobs["ROPE_BASE"]) is float
    assert changed(PROFILES["24gb"], ["source=stdlib"]).settings.shards == 0


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("DEPHT=6", ("unknown name", "DEPTH, DIM", "vocab_size", "timeout_s")),
        ("DEPTH", ("NAME=VALUE",)),
        ("DEPTH=six", ("whole number", "DEPTH=six")),
        ("DEPTH=0", ("from 1",)),
        ("DEPTH=-3", ("whole number",)),
        ("HEAD_DIM=33", ("even",)),
        ("WINDOW=SXL", ("S and L",)),
        ("MATRIX_LR=nan", ("number from 0",)),
        ("DEVICE_BATCH=96", ("no multiple", "196608")),
        ("vocab_size=12", ("vocab_size", "257")),
        ("budget=5m", ("budget", "600steps")),
        ("val_tokens=16", ("val_tokens", "16 rows")),
        ("source=", ("source", "non-empty")),
        ("timeout_s=0", ("timeout_s", "at least 1")),
    ],
)
def test_a_single_value_that_is_wrong(given: str, words: tuple[str, ...]) -> None:
    with pytest.raises(UsageError) as caught:
        changed(PROFILES["80gb"], [given])
    for word in words:
        assert word in str(caught.value)


# -- the files --------------------------------------------------------------------------------


def test_knobs_are_written_into_their_lines_alone() -> None:
    source = (
        b"# DEPTH = 1\r\nDEPTH = 2  # blocks = many\r\nRATE=-0.5\r\nWINDOW = 'SL'# x\r\n"
        b"BATCH = 2**10\r\nif DEPTH:\r\n    DEPTH_ = 3\r\nflag = True\r\nFLAG = True\r\n"
    )
    assert constants.values(source) == {
        "DEPTH": 2,
        "RATE": -0.5,
        "WINDOW": "SL",
        "BATCH": 1024,
        "FLAG": True,
    }
    made = with_constants(source, {"DEPTH": 12, "RATE": 3e-4, "WINDOW": "SSL", "BATCH": 2**18})
    assert made == (
        b'# DEPTH = 1\r\nDEPTH = 12  # blocks = many\r\nRATE=0.0003\r\nWINDOW = "SSL"# x\r\n'
        b"BATCH = 2**18\r\nif DEPTH:\r\n    DEPTH_ = 3\r\nflag = True\r\nFLAG = True\r\n"
    )
    assert with_constants(source, {"BATCH": 1024, "WINDOW": "SL"}) == source


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (b"", "no line DEPTH = ..."),
        (b"DEPTH = f(2)\n", "no line DEPTH = ..."),
        (b"DEPTH = 2\nDEPTH = 3\n", "no line DEPTH = ..."),
        (b"DEPTH = (\n", "no line DEPTH = ..."),
        (b"DEPTH = 2\nif DEPTH:\n    DEPTH = 3\n", "no line DEPTH = ..."),
    ],
)
def test_knobs_that_are_not_there(source: bytes, words: str) -> None:
    with pytest.raises(RewriteError, match=re.escape(words)):
        with_constants(source, {"DEPTH": 4})


@pytest.mark.parametrize(
    ("source", "made"),
    [
        (b"DEPTH = (\n    2\n)\n", b"DEPTH = (\n    4\n)\n"),
        (b"X = 1; DEPTH = 2\n", b"X = 1; DEPTH = 4\n"),
        (b'"""\nDEPTH = 2\n"""\nDEPTH: int = 2\n', b'"""\nDEPTH = 2\n"""\nDEPTH: int = 4\n'),
        ("É = 'é'; DEPTH = 2 # é\n".encode(), "É = 'é'; DEPTH = 4 # é\n".encode()),
    ],
)
def test_knobs_are_written_wherever_they_stand(source: bytes, made: bytes) -> None:
    assert with_constants(source, {"DEPTH": 4}) == made


def test_settings_are_written_where_they_belong() -> None:
    text = (
        b"# a lab\r\n[tasks.one]\r\ntimeout_s = 5  # of one\r\ncommand = ['x']\r\n\r\n"
        b'[ tasks . two ]  # mine\r\ncommand = [\r\n  "y",\r\n]\r\n# about the next\r\n[harness]#\r\n'
        b"source = 'a # b'   # text\r\nseq_len=64"
    )
    values = {
        "tasks.two": {"timeout_s": 600},
        "harness": {"source": "c", "seq_len": 8, "shards": 2},
    }
    made = with_settings(text, values).decode()
    assert made == (
        "# a lab\r\n[tasks.one]\r\ntimeout_s = 5  # of one\r\ncommand = ['x']\r\n\r\n"
        '[ tasks . two ]  # mine\r\ncommand = [\r\n  "y",\r\n]\r\ntimeout_s = 600\r\n'
        "# about the next\r\n[harness]#\r\n"
        'source = "c"       # text\r\nseq_len=8\r\nshards = 2\r\n'
    )
    assert with_settings(made.encode(), values) == made.encode()
    added = with_settings(b"[task]\nx = 1", {"harness": {"seq_len": 8}})
    assert added == b"[task]\nx = 1\n\n[harness]\nseq_len = 8\n"


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("harness = {seq_len = 64} # x", "harness = {seq_len = 8,shards = 2} # x\n"),
        ("harness.seq_len = 64 # x\n", "harness.seq_len = 8  # x\nharness.shards = 2\n"),
        (
            '[a]\nb = """\n[harness]\n"""\n',
            '[a]\nb = """\n[harness]\n"""\n\n[harness]\nseq_len = 8\nshards = 2\n',
        ),
        (
            '["harness"]\n"seq_len" = 64# x\n\n# next\n[[more]]\nx=1\n[[more]]\nx=[2,\n 3]\n',
            '["harness"]\n"seq_len" = 8 # x\nshards = 2\n\n# next\n[[more]]\nx=1\n[[more]]\n'
            "x=[2,\n 3]\n",
        ),
        (
            "[harness]\n[task]\nx = 1\n[harness.sub]\ny = 2\n",
            "[harness]\nseq_len = 8\nshards = 2\n[task]\nx = 1\n[harness.sub]\ny = 2\n",
        ),
        (
            "# one\n\n[harness]\n  # none yet\n",
            "# one\n\n[harness]\nseq_len = 8\nshards = 2\n  # none yet\n",
        ),
        (
            "[harness.sub]\ny = 2\n",
            "[harness]\nseq_len = 8\nshards = 2\n\n[harness.sub]\ny = 2\n",
        ),
        (
            "[harness]\nshards = true # x\nseq_len = 1234  # y\nx = 1",
            "[harness]\nshards = 2 # x\nseq_len = 8     # y\nx = 1\n",
        ),
        ("harness = {} # x\ny = 1\n", "harness = {seq_len = 8,shards = 2} # x\ny = 1\n"),
        ("", "[harness]\nseq_len = 8\nshards = 2\n"),
    ],
)
def test_settings_in_other_forms(text: str, made: str) -> None:
    """Dotted, inline and quoted keys, arrays of tables, a table in two pieces."""
    values = {"harness": {"seq_len": 8, "shards": 2}}
    for end in ("\n", "\r\n"):
        now = with_settings(text.replace("\n", end).encode(), values).decode()
        assert now == (made.replace("\n", end) if "\n" in text else made)
        assert with_settings(now.encode(), values) == now.encode()


def test_line_ends_of_both_kinds_stay_as_they_are() -> None:
    text = b'[harness]\r\nseq_len = 64\r\ns = """\r\na\n"""\r\n[task]\n'
    made = with_settings(text, {"harness": {"seq_len": 8, "shards": 2}})
    assert made == b'[harness]\r\nseq_len = 8\r\ns = """\r\na\n"""\r\nshards = 2\n[task]\n'


@pytest.mark.parametrize("text", ["harness = 3", "[[harness]]\nseq_len = 64\n"])
def test_settings_in_what_is_no_table(text: str) -> None:
    with pytest.raises(RewriteError, match="harness is no table"):
        with_settings(text.encode(), {"harness": {"seq_len": 8}})


# -- estimates --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["cpu", "6gb"])
def test_size_and_work_are_those_of_the_template(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch")
    spec = importlib.util.spec_from_file_location("fitted_train", TEMPLATE / "train.py")
    assert spec is not None and spec.loader is not None
    train = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(train)
    profile = PROFILES[name]
    for knob, value in profile.knobs.items():
        monkeypatch.setattr(train, knob, value)
    length = profile.settings.seq_len
    attention = dict.fromkeys(set(train.windows(length)), train.blockwise)
    model = train.GPT(profile.settings.vocab_size, length, attention)
    ours = Model.of(profile.knobs, profile.settings)
    scalars = 2 * int(profile.knobs["DEPTH"])
    assert ours.parameters + scalars == sum(p.numel() for p in model.parameters())
    assert ours.flops_per_token == pytest.approx(model.flops_per_token(), rel=1e-12)


def test_memory_of_the_reference_by_hand() -> None:
    """80gb: 2^18 tokens, 9 blocks of 640, bfloat16; 26 bytes per number of width kept in each."""
    profile = PROFILES["80gb"]
    kept = 2**18 * 2 * (9 * (9 * 640 + 2560) + 5 * 640 + 5 * 640)
    matrices = 9 * 12 * 640**2 + 5 * 32 * 5
    state = 12 * matrices + 16 * 7 * 8192 * 640
    gradients = 2 * 2**18 * 2560 * 2
    expected = (state + kept + gradients) / 2**20
    assert peak_memory_mb(profile.knobs, profile.settings, "cuda") == round(expected)
    smaller = {**profile.knobs, "DEVICE_BATCH": 64}
    assert peak_memory_mb(smaller, profile.settings, "cuda") < 0.6 * expected
    assert memory_of(profile.knobs, profile.settings, card(81_559))[1]
    assert not memory_of(profile.knobs, profile.settings, card(46_068))[1]
    old = memory_of(profile.knobs, profile.settings, card(32_768, "Tesla V100-SXM2-32GB"))
    assert old[0] > 1.7 * expected, "it has no bfloat16"


def test_time_by_hand() -> None:
    knobs, settings = PROFILES["cpu"].knobs, PROFILES["cpu"].settings
    work = Model.of(knobs, settings).flops_per_token
    two = Device("cpu", "CPU", 8000, cores=2)
    whole = computed(knobs, settings, two, 0)
    assert whole.training_s == pytest.approx(600 * 1024 * work / 50e9)
    assert whole.exam_s == pytest.approx(131_072 * work / 3 / 50e9)
    for budget, seconds in (
        ("", whole.training_s), ("600steps", whole.training_s), ("60s", 60),
        ("1000tokens", 1000 * work / 50e9),
    ):  # fmt: skip
        given = settings.model_copy(update={"budget": budget, "max_tflop": 0.1})  # no limit
        assert computed(knobs, given, two, 0).training_s == pytest.approx(seconds)
    h100 = computed(knobs, settings, card(80_000, "NVIDIA H100 80GB HBM3"), 5)
    assert "35 % of 989 TFLOP/s" in h100.basis
    assert "35 % of 5 TFLOP/s" in computed(knobs, settings, card(80_000), 5).basis


def test_an_estimate_in_words_and_its_warning() -> None:
    known = Estimate(10, 300, 15)
    assert known.words(600) == (
        "a trial takes 325 s of 600 s (start-up 10, training 300, exam 15): 11 experiments an hour"
    )
    assert Estimate(5, 3000, 600, "a guess").words(7200.0) == (
        "a trial takes about 3605 s of 7200 s (start-up 5.0, training 3000, exam 600): 1.0 experiments "
        "an hour, assuming a guess"
    )
    assert known.warning(600) is None and known.warning(362) is None
    warning = known.warning(360) or ""
    assert "325 s" in warning and "task.timeout_s = 360: set it to 540" in warning
    assert "harness.budget" in warning


def test_what_the_baseline_measured() -> None:
    def of(seconds: float, **summary: float) -> Estimate | None:
        return observed(Experiment(0, "c", "p", "keep", "", "", seconds=seconds, summary=summary))

    assert of(325, training_seconds=300, exam_seconds=15) == Estimate(10, 300, 15)
    assert of(325, training_seconds=300) is None and of(3) is None
    assert of(325, training_seconds=-1, exam_seconds=2) is None


# -- the device -------------------------------------------------------------------------------


def program(path: Path, script: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


@pytest.fixture
def driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where an nvidia-smi of the test's own goes; without one there is no card."""
    monkeypatch.setenv("PATH", f"{tmp_path / 'driver'}:{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    program(tmp_path / "driver" / "nvidia-smi", "exit 9")
    program(tmp_path / "driver" / "python", "exit 1")  # the doctor's probe need not load torch here
    return tmp_path / "driver" / "nvidia-smi"


def test_cards_as_the_driver_tells_them(driver: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(driver, f'echo "$@" > {driver}.asked\necho "NVIDIA H100 80GB HBM3, 81559"')
    assert device.find() == card(81_559, "NVIDIA H100 80GB HBM3")
    asked = (driver.parent / "nvidia-smi.asked").read_text()
    assert asked == "--query-gpu=name,memory.total --format=csv,noheader,nounits\n"
    program(driver, 'printf "A, big, 49140\\nB, 8192\\nC, 24564\\n"')
    assert device.find() == card(8192, "B", count=3)
    assert device.find().words() == "the smallest of 3 GPUs: B, 8192 MB"
    program(driver, 'echo "NVIDIA GB10, [N/A]"')
    assert device.find() == card(device.ram_mb(), "NVIDIA GB10"), "it shares the machine's memory"
    for hidden in ("", "-1"):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
        assert device.find().kind != "cuda"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    assert device.find().kind == "cuda"
    for broken in ("exit 1", "echo No devices were found", "true", "kill -9 $$"):
        program(driver, broken)
        assert device.find().kind != "cuda"
    monkeypatch.setattr(device, "_TIMEOUT_S", 0.2)
    program(driver, "exec sleep 60")
    assert device.find().kind != "cuda"


# -- init -------------------------------------------------------------------------------------


def empty(tmp_path: Path) -> Lab:
    (tmp_path / "new").mkdir()
    return Lab(tmp_path / "new")


def test_init_writes_what_suits_the_card(tmp_path: Path, driver: Path) -> None:
    program(driver, 'echo "NVIDIA GeForce RTX 4090, 24564"')
    lab = empty(tmp_path)
    lines = lab.cli("init", "t").stdout.splitlines()
    [profile] = [line for line in lines if line.startswith("profile ")]
    assert profile.startswith(
        "profile 24gb for NVIDIA GeForce RTX 4090, 24564 MB: 50.3 M parameters"
    )
    [estimate] = [line for line in lines if line.startswith("estimate: ")]
    assert "training 300, " in estimate and "assuming 35 % of 165 TFLOP/s" in estimate
    assert lab.git("status", "--porcelain") == ""
    assert lab.read("train.py") == with_profile(TRAIN, TOML, PROFILES["24gb"])[0].decode()
    assert config.parse(lab.read("autoresearch.toml").encode()).harness == PROFILES["24gb"].settings
    assert "TOTAL_BATCH = 2**16  # tokens" in lab.read("train.py")


def test_init_with_a_profile_and_values_of_ones_own(tmp_path: Path, driver: Path) -> None:
    lab = empty(tmp_path)
    flags = (
        "--profile",
        "6gb",
        "--set",
        "DEPTH=3",
        "--set",
        "vocab_size=512",
        "--set",
        "timeout_s=300",
    )
    lines = lab.cli("init", "t", *flags).stdout.splitlines()
    assert any(line.startswith("profile 6gb for the CPU (") for line in lines)
    assert any(re.match(r"warning: a trial needs \d+ s and", line) for line in lines)
    settings = config.parse(lab.read("autoresearch.toml").encode())
    assert (settings.harness.vocab_size, settings.task.timeout_s) == (512, 300)
    assert "\nDEPTH = 3  # blocks\n" in lab.read("train.py")


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--profile", "81gb"], "there are 80gb"),
        (["--set", "depth=3"], "known here: DEPTH"),
        (["--template", "none", "--profile", "cpu"], "doctor --fit"),
    ],
)
def test_init_with_a_wrong_profile_makes_nothing(
    tmp_path: Path, driver: Path, flags: list[str], words: str
) -> None:
    lab = empty(tmp_path)
    error = lab.cli("init", "t", *flags, code=2).stderr
    assert words in error and len(error.splitlines()) == 1
    assert list(lab.root.iterdir()) == []


def test_init_with_a_card_that_is_too_small(tmp_path: Path, driver: Path) -> None:
    program(driver, 'echo "NVIDIA GeForce GTX 1050 Ti, 4096"')
    lines = empty(tmp_path).cli("init", "t").stdout.splitlines()
    assert lines[1].startswith("profile cpu for NVIDIA GeForce GTX 1050 Ti, 4096 MB")
    assert lines[2].startswith("notice: that is less than")


def test_init_in_a_lab_asks_for_no_device(make_lab: MakeLab, driver: Path) -> None:
    program(driver, f"touch {driver}.asked")
    lab = make_lab(tag=None)
    assert "doctor --fit" in lab.cli("init", "t", "--profile", "cpu", code=2).stderr
    lab.cli("init", "t")
    assert not (driver.parent / "nvidia-smi.asked").exists()


# -- doctor -----------------------------------------------------------------------------------


@pytest.mark.slow
def test_doctor_fits_a_lab_that_is_committed(tmp_path: Path, driver: Path) -> None:
    lab = empty(tmp_path)
    lab.cli("init", "t")
    (lab.root / "train.py").chmod(0o755)
    lab.commit("a program")
    program(driver, 'echo "NVIDIA A100-SXM4-40GB, 40960"')
    ran = lab.cli("doctor", "--fit", "--set", "shards=9")
    lines = ran.stdout.splitlines()
    assert lines[0].startswith("profile 40gb for NVIDIA A100-SXM4-40GB, 40960 MB")
    assert "train.py: DEPTH = 8" in lines and "autoresearch.toml: shards     = 9" in lines
    assert "wrote train.py, autoresearch.toml" in lines
    assert "git commit" in lines[-1] and "prepare" in lines[-1] and "init TAG" in lines[-1]
    assert lab.git("status", "--porcelain").split() == ["M", "autoresearch.toml", "M", "train.py"]
    assert (lab.root / "train.py").stat().st_mode & 0o777 == 0o755
    assert config.parse(lab.read("autoresearch.toml").encode()).harness.shards == 9
    lab.commit("fitted")
    again = lab.cli("doctor", "--fit", "--set", "shards=9").stdout.splitlines()
    assert again[-1] == "train.py and autoresearch.toml have these values already"


@pytest.mark.slow
def test_doctor_writes_over_no_edit(tmp_path: Path, driver: Path) -> None:
    lab = empty(tmp_path)
    lab.cli("init", "t")
    lab.write("train.py", lab.read("train.py").replace("\nDEPTH = 2 ", "\nDEPTH = 3 "))
    before = lab.picture()
    ran = lab.cli("doctor", "--fit", "--profile", "6gb", code=1)
    assert "train.py: DEPTH = 4" in ran.stdout, "what it would have written"
    assert "train.py has edits" in ran.stderr and "nothing was written" in ran.stderr
    assert lab.picture() == before
    lab.write("train.py", lab.read("train.py").replace("\nDIM = 64 ", "\nWIDTH = 64 "))
    ran = lab.cli("doctor", "--fit", "--profile", "6gb", code=1)
    assert "train.py: it has no line DIM" in ran.stderr


@pytest.mark.slow
def test_doctor_in_other_places(tmp_path: Path, driver: Path, make_lab: MakeLab) -> None:
    lab = empty(tmp_path)
    ran = lab.cli("doctor", "--fit", code=1)
    assert ran.stdout.startswith("profile cpu") and "autoresearch init" in ran.stderr
    assert "go with --fit" in lab.cli("doctor", "--profile", "cpu", code=2).stderr
    other = make_lab(name="other")
    assert "names no Python file" in other.cli("doctor", "--fit", code=1).stderr
    there = {check["name"] for check in json.loads(other.cli("doctor", "--json").stdout)}
    assert "estimate" not in there


@pytest.mark.slow
def test_doctor_says_what_a_trial_will_take(tmp_path: Path, driver: Path) -> None:
    lab = empty(tmp_path)
    lab.cli("init", "t")

    def told() -> dict[str, str]:
        found = json.loads(lab.cli("doctor", "--json").stdout)
        return next(check for check in found if check["name"] == "estimate")

    assert told()["state"] == "ok" and "of 600 s" in told()["what"]
    toml = lab.read("autoresearch.toml")
    lab.write("autoresearch.toml", toml.replace('"614400tokens"', '"900s"'))
    check = told()
    assert check["state"] == "degraded" and "about 9" in check["what"]
    assert "task.timeout_s = 600: set it to 1" in check["mend"]
    lab.write("autoresearch.toml", toml)
    lab.write(
        "train.py", lab.read("train.py").replace("DEVICE_BATCH = 16 ", "DEVICE_BATCH = 2**22 ")
    )
    assert told()["state"] == "degraded" and told()["mend"] == "autoresearch doctor --fit"
