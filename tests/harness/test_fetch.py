"""Downloads from a server that truncates, stalls, resets and lies; pins that hold."""

from __future__ import annotations

import hashlib
import io
import json
import os
import resource
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

pa = pytest.importorskip("pyarrow")
pytest.importorskip("huggingface_hub")
import pyarrow.parquet as pq  # noqa: E402
from huggingface_hub import constants, hf_hub_download  # noqa: E402

import autoresearch  # noqa: E402
from autoresearch.harness import cache as store  # noqa: E402
from autoresearch.harness import names  # noqa: E402
from autoresearch.harness.cache import HarnessError  # noqa: E402
from autoresearch.harness.data import pinned, sources  # noqa: E402
from autoresearch.harness.data.fetch import Pin, fetch  # noqa: E402
from autoresearch.harness.data.formats import check_parquet  # noqa: E402
from autoresearch.harness.data.hub import _retry_after_s, listed, session  # noqa: E402
from autoresearch.harness.data.prepare import prepare  # noqa: E402
from autoresearch.harness.data.retry import RetryLimits  # noqa: E402
from autoresearch.harness.data.sources import HubRepository  # noqa: E402
from tests.fileserver import (  # noqa: E402
    Anew,
    Drip,
    Fault,
    Hub,
    Other,
    Pause,
    Redirect,
    Reset,
    Short,
    Stall,
    Status,
    Truncate,
    WrongRange,
    interrupted,
)

BRISK = RetryLimits(attempts=4, silence_s=0.3, wait_s=0.01, longest_wait_s=0.05)
BLOB = bytes(range(256)) * 1200  # 300 kB
REPOSITORY = "someone/texts"


@pytest.fixture(autouse=True)
def straight(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No proxy stands between these tests and loopback, and no token comes with them."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no token"))


def get(hub: Hub, folder: Path, limits: RetryLimits = BRISK) -> list[str]:
    said: list[str] = []
    fetch(hub.pins(), hub.base_url, folder, lambda path: None, said.append, limits)
    return said


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_files_come_whole_with_a_line_each_and_only_once(tmp_path: Path) -> None:
    files = {f"{number}.bin": BLOB[number:] for number in range(12)}
    with Hub(REPOSITORY, files) as hub:
        said = get(hub, tmp_path / "in")
        assert {n: (tmp_path / "in" / n).read_bytes() for n in files_in(tmp_path / "in")} == files
        assert sum(line.startswith("downloaded ") for line in said) == 12
        assert len(hub.asked) == 12
        get(hub, tmp_path / "in")
        assert len(hub.asked) == 12


@pytest.mark.parametrize(
    ("fault", "resumed"),
    [
        (Truncate(100_000), True),
        (Reset(100_000), True),
        (Stall(100_000), True),
        (Short(100_000), True),
        (Drip(0.02), True),
        (Reset(0), False),
        (Stall(0), False),
        (Status(503), False),
        (Status(429, {"Retry-After": "0"}), False),
        (Other(BLOB + b"more"), False),
        (Other(b"not" + BLOB[3:]), False),
        (WrongRange(), False),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_a_fault_is_survived_and_what_has_come_is_not_asked_for_again(
    tmp_path: Path, fault: Fault, resumed: bool
) -> None:
    with Hub(REPOSITORY, {"a.bin": BLOB}) as hub:
        hub.faults["a.bin"] = [fault]
        get(hub, tmp_path)
        assert (tmp_path / "a.bin").read_bytes() == BLOB and files_in(tmp_path) == ["a.bin"]
        first, second = hub.ranges("a.bin")
        assert first == "" and second.startswith("bytes=") == resumed
        if resumed and not isinstance(fault, Drip | Reset):
            assert second == "bytes=100000-"


def test_the_wait_that_a_server_asks_for_is_kept(tmp_path: Path) -> None:
    with Hub(REPOSITORY, {"a.bin": BLOB}) as hub:
        hub.faults["a.bin"] = [
            Status(429, {"Retry-After": "1"}),
            Status(503, {"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}),
            Status(503, {"Retry-After": "soon"}),
        ]
        waits = [
            line.rpartition("trying again in ")[2] for line in get(hub, tmp_path) if ";" in line
        ]
    assert waits == ["1 s", "0 s", "0 s"]


def test_a_part_is_gone_on_with_whatever_the_server_makes_of_the_range(tmp_path: Path) -> None:
    for fault in (None, Other(BLOB), WrongRange(), Status(416), Other(b"x" * len(BLOB))):
        (tmp_path / "a.bin.part").write_bytes(BLOB[:1000])
        with Hub(REPOSITORY, {"a.bin": BLOB}) as hub:
            hub.faults["a.bin"] = [fault] if fault else []
            get(hub, tmp_path)
            assert hub.ranges("a.bin")[0] == "bytes=1000-"
        assert (tmp_path / "a.bin").read_bytes() == BLOB, fault
        (tmp_path / "a.bin").unlink()


def test_a_part_of_something_else_is_fetched_whole_once_more(tmp_path: Path) -> None:
    for part in (b"something else", b"x" * len(BLOB), BLOB + b"longer"):
        (tmp_path / "a.bin.part").write_bytes(part)
        with Hub(REPOSITORY, {"a.bin": BLOB}) as hub:
            get(hub, tmp_path)
            assert hub.ranges("a.bin")[-1] == ""
        assert (tmp_path / "a.bin").read_bytes() == BLOB
        (tmp_path / "a.bin").unlink()


def test_a_file_that_stays_wrong_is_an_error_with_both_digests(tmp_path: Path) -> None:
    with Hub(REPOSITORY, {"a.bin": BLOB}) as hub:
        wrong = bytes(len(BLOB))
        hub.faults["a.bin"] = [Other(wrong)] * 9
        with pytest.raises(HarnessError) as caught:
            get(hub, tmp_path)
        text = str(caught.value)
        assert "a.bin" in text and hub.pins()[0].sha256 in text
        assert hashlib.sha256(wrong).hexdigest() in text
        assert len(hub.asked) == 2 and files_in(tmp_path) == []


def test_a_file_that_stays_short_is_an_error_and_a_later_call_goes_on(tmp_path: Path) -> None:
    with Hub(REPOSITORY, {"a.bin": BLOB}) as hub:
        hub.faults["a.bin"] = [Truncate(1000)] * 4
        with pytest.raises(HarnessError, match=r"a\.bin: no whole copy after 4 attempts.*4000 of"):
            get(hub, tmp_path)
        assert files_in(tmp_path) == ["a.bin.part"]
        get(hub, tmp_path)
        assert hub.ranges("a.bin")[-1] == "bytes=4000-" and files_in(tmp_path) == ["a.bin"]


def test_a_link_that_breaks_every_few_megabytes_is_not_given_up(tmp_path: Path) -> None:
    blob = os.urandom(1 << 16) * 160  # 10 MB
    with Hub(REPOSITORY, {"a.bin": blob}) as hub:
        hub.faults["a.bin"] = [Truncate(1 << 20)] * 8
        get(hub, tmp_path)
        assert len(hub.asked) == 9 and (tmp_path / "a.bin").read_bytes() == blob


def test_what_no_attempt_can_mend_is_said_at_once_and_stops_the_others(tmp_path: Path) -> None:
    with Hub(REPOSITORY, {"a.bin": BLOB, "b.bin": BLOB}) as hub:
        hub.faults = {"a.bin": [Status(404)], "b.bin": [Stall(5000)] * 9}
        with pytest.raises(HarnessError, match=r"a\.bin: HTTP 404"):
            get(hub, tmp_path)
        assert len(hub.ranges("a.bin")) == 1 and "b.bin" not in files_in(tmp_path)


def test_a_damaged_file_is_named_and_replaced(tmp_path: Path) -> None:
    with Hub(REPOSITORY, {"a.bin": BLOB, "b.bin": BLOB}) as hub:
        get(hub, tmp_path)
        for damage in (BLOB[:-1], b"x" + BLOB[1:]):
            (tmp_path / "a.bin").write_bytes(damage)
            said = get(hub, tmp_path)
            assert any(str(tmp_path / "a.bin") in line and "damaged" in line for line in said)
            assert (tmp_path / "a.bin").read_bytes() == BLOB
        assert len(hub.ranges("b.bin")) == 1


def test_a_disk_too_small_is_an_error_before_anything_is_asked_for(tmp_path: Path) -> None:
    with Hub(REPOSITORY, {}) as hub:
        with pytest.raises(HarnessError, match=r"1 files to download need 1000000000000\.0 MB"):
            fetch(
                [Pin("a.bin", 10**18, "0" * 64)],
                hub.base_url, tmp_path, lambda path: None, print, BRISK,
            )  # fmt: skip
        assert hub.asked == []


def test_whole_files_that_are_no_good_do_not_get_their_name(tmp_path: Path) -> None:
    other = io.BytesIO()
    pq.write_table(pa.table({"texts": ["a"], "n": [1]}), other)
    for content, words in [
        (b"PAR1 not so", "no readable parquet"),
        (other.getvalue(), r"no column 'text' of strings; it has texts \(string\), n \(int64\)"),
    ]:
        with Hub(REPOSITORY, {"a.parquet": content}) as hub:
            with pytest.raises(HarnessError, match=rf"a\.parquet\S* .*{words}"):
                fetch(hub.pins(), hub.base_url, tmp_path, check_parquet, print, BRISK)
            assert files_in(tmp_path) == ["a.parquet.part"]
        (tmp_path / "a.parquet.part").unlink()


def test_a_token_goes_to_the_hub_and_no_further(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    with Hub(REPOSITORY, {"a.bin": BLOB}) as hub, Hub(REPOSITORY, {"a.bin": BLOB}) as store_host:
        hub.faults["a.bin"] = [Status(403), Redirect(store_host.url)]
        with pytest.raises(HarnessError, match="HF_TOKEN") as caught:
            get(hub, tmp_path)
        assert "hf_secret" not in str(caught.value)
        assert "hf_secret" not in "".join(get(hub, tmp_path))
        assert hub.tokens == ["Bearer hf_secret"] * 2 and store_host.tokens == [None]
        assert (tmp_path / "a.bin").read_bytes() == BLOB


@pytest.mark.parametrize("secret", ["hf_sec\nret", "hf_sec\x01ret", "hf_sec‑ret"])
def test_a_token_that_is_none_is_refused_and_never_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, secret: str
) -> None:
    monkeypatch.setenv("HF_TOKEN", secret)
    with Hub(REPOSITORY, {"a.bin": BLOB}) as hub:
        said: list[str] = []
        for call in (
            lambda: get(hub, tmp_path),
            lambda: listed(REPOSITORY, said.append, BRISK),
        ):
            with pytest.raises(HarnessError, match="HF_TOKEN holds characters") as caught:
                call()
            trace = "".join(traceback.format_exception(caught.value))
            assert "hf_sec" not in trace + "".join(said)
        assert hub.tokens == []


def test_a_line_end_behind_a_token_is_not_part_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Hub(REPOSITORY, {"a.bin": BLOB}) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        for token in ("hf_secret\r\n", "\n"):
            monkeypatch.setenv("HF_TOKEN", token)
            assert listed(REPOSITORY, print, BRISK) == (hub.commit, [])
        assert hub.tokens == ["Bearer hf_secret"] * 2 + [None] * 2


def test_an_address_that_is_none_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://[hub")
    with pytest.raises(HarnessError, match="not an address"):
        listed(REPOSITORY, print, BRISK)
    with Hub(REPOSITORY, {"a.bin": BLOB}) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        hub.next_page = "http://[hub/api"
        with pytest.raises(HarnessError, match="Link header names no address"):
            listed(REPOSITORY, print, BRISK)


def test_the_hub_of_these_tests_speaks_to_the_librarys_own_download(tmp_path: Path) -> None:
    """So that what holds against it holds against the real one: both have one client."""
    with Hub(REPOSITORY, {"a.bin": BLOB}) as hub, session():
        found = hf_hub_download(
            REPOSITORY, "a.bin", repo_type="dataset", revision=hub.commit, endpoint=hub.url,
            local_dir=tmp_path, token=False,
        )  # fmt: skip
        assert Path(found).read_bytes() == BLOB


def test_nothing_is_told_and_nothing_else_is_asked(tmp_path: Path, hub: Hub) -> None:
    with hub:
        make(tmp_path, shards=1)
    assert set(hub.agents) == {"autoresearch"}
    api, files = f"/api/datasets/{REPOSITORY}/", f"/datasets/{REPOSITORY}/resolve/{hub.commit}/"
    assert all(path.startswith((api, files)) for path in hub.paths), hub.paths
    assert hub.tokens == [None] * len(hub.paths)


def test_a_token_that_the_librarys_login_left_is_honoured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "token").write_text("hf_login\n")
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    with Hub(REPOSITORY, {"a.bin": BLOB}) as hub:
        said = get(hub, tmp_path / "in")
    assert hub.tokens == ["Bearer hf_login"] and "hf_login" not in "".join(said)


def test_the_hubs_library_is_loaded_for_its_sources_alone(tmp_path: Path) -> None:
    (tmp_path / "texts").mkdir()
    for number in range(60):
        (tmp_path / "texts" / f"{number}.txt").write_text(f"A text of its own, {number}.\n" * 40)
    program = (
        "import sys; from pathlib import Path; from autoresearch.harness.data.prepare import prepare\n"
        "prepare(sys.argv[1], Path(sys.argv[2]), vocab_size=300, seq_len=16, val_tokens=256)\n"
        "assert not {'huggingface_hub', 'httpx2'} & set(sys.modules)"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "texts"), str(tmp_path / "cache")]
    done = subprocess.run(
        command, env={**os.environ, **ENVIRONMENT}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_the_longest_wait_that_a_server_may_ask_for() -> None:
    assert [_retry_after_s(text) for text in (None, "7", "86400", "-3", "later")] == [
        0,
        7,
        300,
        0,
        0,
    ]


def test_a_server_that_begins_anew_each_time_is_given_up(tmp_path: Path) -> None:
    blob = bytes(3 << 20)
    with Hub(REPOSITORY, {"a.bin": blob}) as hub:
        hub.faults["a.bin"] = [Anew(2 << 20), Anew(1000)] * 6
        with pytest.raises(HarnessError, match=r"a\.bin: no whole copy after 4 attempts"):
            get(hub, tmp_path)
        assert len(hub.asked) == 4


ENVIRONMENT = {"PYTHONPATH": str(Path(autoresearch.__file__).parents[1]), "no_proxy": "127.0.0.1"}
CHILD = """\
import sys
from pathlib import Path
from autoresearch.harness.cache import HarnessError
from autoresearch.harness.data.fetch import Pin, fetch
from autoresearch.harness.data.retry import RetryLimits
base_url, folder, name, size, sha256 = sys.argv[1:]
try:
    fetch([Pin(name, int(size), sha256)], base_url, Path(folder), lambda path: None, print, RetryLimits())
except HarnessError as error:
    sys.exit(str(error))
"""


def child(
    hub: Hub, folder: Path, before: Callable[[], None] | None = None
) -> subprocess.Popen[str]:
    (pin,) = hub.pins()
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, hub.base_url, str(folder), pin.name, str(pin.size), pin.sha256],
        env={**os.environ, **ENVIRONMENT},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=before,
    )  # fmt: skip


def test_a_limit_on_file_sizes_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    with Hub(REPOSITORY, {"a.bin": BLOB}) as hub:
        limited = child(
            hub, tmp_path, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        )
        _, error = limited.communicate(timeout=30)
        assert limited.returncode == 1 and "a.bin.part: File too large" in error
        assert files_in(tmp_path) == ["a.bin.part"]
        get(hub, tmp_path)
        assert hub.ranges("a.bin")[-1] == "bytes=100000-" and files_in(tmp_path) == ["a.bin"]


def test_a_full_disk_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    """A real file system of 4 MB, in a name space of our own, filled while it downloads."""
    mount = ["unshare", "-rm", "sh", "-c"]
    works = subprocess.run([*mount, f"mount -t tmpfs x {tmp_path}"], capture_output=True)
    if works.returncode != 0:
        pytest.skip("no mounts of our own here")
    script = f"""\
cd {tmp_path} && mount -t tmpfs -o size=4m x . && cd {tmp_path}
{{ until [ -s a.bin.part ]; do sleep 0.02; done; cat /dev/zero > other; echo filled; }} 2>&1 &
"$0" -c "$@"
echo exit $?
ls
"""
    with Hub(REPOSITORY, {"a.bin": bytes(3_000_000)}) as hub:
        hub.faults["a.bin"] = [Pause(50_000)]
        (pin,) = hub.pins()
        process = subprocess.Popen(
            [*mount, script, sys.executable, CHILD,
             hub.base_url, str(tmp_path), pin.name, str(pin.size), pin.sha256],
            env={**os.environ, **ENVIRONMENT}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert process.stdout is not None
        while process.stdout.readline() not in ("filled\n", ""):
            pass
        hub.go.set()
        out, error = process.communicate(timeout=30)
    assert "a.bin.part: No space left on device" in error
    assert out.split() == ["exit", "1", "a.bin.part", "other"]


def test_a_kill_leaves_a_part_that_the_next_call_goes_on_with(tmp_path: Path) -> None:
    with Hub(REPOSITORY, {"a.bin": BLOB}) as hub:
        hub.faults["a.bin"] = [Stall(200_000)]
        process = child(hub, tmp_path)
        part, deadline = tmp_path / "a.bin.part", time.monotonic() + 30
        while not (part.exists() and part.stat().st_size == 200_000):
            assert time.monotonic() < deadline and process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert files_in(tmp_path) == ["a.bin.part"]
        get(hub, tmp_path)
        assert hub.ranges("a.bin")[-1] == "bytes=200000-"
        assert (tmp_path / "a.bin").read_bytes() == BLOB


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_leaves_parts_to_go_on_with(tmp_path: Path, number: signal.Signals) -> None:
    harness = ("autoresearch.harness", "prepare", "--cache", str(tmp_path))
    done = interrupted(number, BLOB, tmp_path, *harness, **ENVIRONMENT)
    assert done.returncode == 130
    assert done.stderr == "prepare: interrupted; run it again to go on\n"


# -- sources on the hub, pinned ---------------------------------------------------------------


def shard(number: int, documents: int = 400) -> bytes:
    """A parquet file of texts in which there is something to learn, different in each shard."""
    texts = [
        f"Shard {number}, text {n}: " + f"the cat sat on mat {n * number % 97}, été. " * (n % 30)
        for n in range(documents)
    ]
    out = io.BytesIO()
    pq.write_table(pa.table({"text": texts, "n": list(range(documents))}), out, row_group_size=100)
    return out.getvalue()


SHARDED = HubRepository(REPOSITORY, "shard_{:05d}.parquet", last_shard=4, usual_shards=2)
SMALL = {"vocab_size": 300, "seq_len": 32, "val_tokens": 2048}


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Hub:
    """Five shards of `climbmix`, and a `tinystories`, made small."""
    files = {f"shard_{number:05d}.parquet": shard(number) for number in range(5)}
    hub = Hub(REPOSITORY, files | {"single.parquet": shard(9, 2000)}, page=2)
    monkeypatch.setenv("HF_ENDPOINT", hub.url + "/")
    monkeypatch.setattr(pinned, "LISTING", BRISK)
    monkeypatch.setattr(pinned, "DOWNLOADS", BRISK)
    monkeypatch.setitem(sources.REPOSITORIES, "climbmix", SHARDED)
    monkeypatch.setitem(
        sources.REPOSITORIES, "tinystories", HubRepository(REPOSITORY, "single.parquet")
    )
    return hub


def make(
    cache: Path, source: str = "climbmix", shards: int | None = None
) -> tuple[Path, list[str]]:
    said: list[str] = []
    return prepare(source, cache, shards=shards, **SMALL, say=said.append), said


def manifest(folder: Path) -> store.Manifest:
    found = store.read_manifest(folder)
    assert found is not None
    return found


def test_more_shards_leave_tokenizer_validation_and_vault_as_they_were(
    tmp_path: Path, hub: Hub
) -> None:
    with hub:
        one = manifest(make(tmp_path, shards=1)[0])
        wanted = {"shard_00000.parquet", "shard_00003.parquet", "shard_00004.parquet"}
        assert {name for name, _ in hub.asked} == wanted
        two = manifest(make(tmp_path)[0])  # 2 by default
        assert [name for name, _ in hub.asked][3:] == ["shard_00001.parquet"]
    same = (names.TOKENIZER, names.TOKEN_BYTES, names.VAL, names.VAULT)
    assert [one.digests[name] for name in same] == [two.digests[name] for name in same]
    assert two.train_rows > 1.8 * one.train_rows and one.fingerprint != two.fingerprint
    assert (
        one.val_rows == one.vault_rows == 64 and one.digests[names.VAL] != one.digests[names.VAULT]
    )


def test_what_is_prepared_needs_neither_network_nor_shards_again(tmp_path: Path, hub: Hub) -> None:
    with hub:
        folder, said = make(tmp_path, shards=1)
    assert "shard_00000.parquet: shard 1 of 1" in said
    for path in (tmp_path / "sources" / "climbmix").glob("*.parquet"):
        path.unlink()
    assert make(tmp_path, shards=1)[1][-1].startswith("already prepared")
    (folder / names.TRAIN).unlink()
    with pytest.raises(HarnessError, match=r"shard_0000\d\.parquet: no whole copy.*refused"):
        make(tmp_path, shards=1)


def test_a_damaged_shard_is_named_and_remade_when_it_is_needed(tmp_path: Path, hub: Hub) -> None:
    path = tmp_path / "sources" / "climbmix" / "shard_00004.parquet"
    with hub:
        before = manifest(make(tmp_path, shards=1)[0])
        path.write_bytes(path.read_bytes()[:-3])
        after, said = make(tmp_path, shards=2)
        assert any(str(path) in line and "damaged" in line for line in said)
    assert manifest(after).digests[names.VAL] == before.digests[names.VAL]


def test_a_source_that_changed_since_it_was_pinned_is_an_error(tmp_path: Path, hub: Hub) -> None:
    with hub:
        make(tmp_path, shards=1)
        hub.files["shard_00001.parquet"] = shard(7)
        with pytest.raises(HarnessError, match=r"shard_00001\.parquet is not the file.*changed"):
            make(tmp_path, shards=2)
        hub.commit = "f" * 40  # the pinned commit is gone
        with pytest.raises(HarnessError, match=r"0123456789\w+/shard_00001\.parquet: HTTP 404"):
            make(tmp_path, shards=2)
    assert manifest(store.data_folder(tmp_path)).source == "climbmix"


def test_damaged_pins_and_missing_shards_are_refused_by_name(tmp_path: Path, hub: Hub) -> None:
    pins = tmp_path / "sources" / "climbmix" / pinned.PINS
    with hub:
        make(tmp_path, shards=1)
        whole = pins.read_text()
        for damage in (whole[:-40], "[]", whole.replace(f"{len(shard(4))}", '"x"')):
            pins.write_text(damage)
            with pytest.raises(HarnessError, match=r"pinned\.json is damaged"):
                make(tmp_path, shards=1)
        pins.unlink()
        del hub.files["shard_00003.parquet"]
        with pytest.raises(HarnessError, match=r"has no shard_00003\.parquet"):
            make(tmp_path, shards=1)
    assert json.loads(whole)["revision"] == hub.commit


def test_a_source_of_one_file_is_divided_by_documents(tmp_path: Path, hub: Hub) -> None:
    with hub:
        folder, said = make(tmp_path, "tinystories")
        assert {name for name, _ in hub.asked} == {"single.parquet"}
    assert manifest(folder).val_rows == 64 and manifest(folder).hidden == []
    assert any("documents" in line for line in said)


def test_a_listing_that_comes_back_to_itself_is_an_error(tmp_path: Path, hub: Hub) -> None:
    with hub:
        api = f"{hub.url}/api/datasets/{REPOSITORY}/tree/{hub.commit}?recursive=True"
        for hub.next_page in (api, f"{api}&cursor=2"):
            before = hub.listed
            with pytest.raises(HarnessError, match="listing has no end"):
                make(tmp_path)
            assert hub.listed - before <= 2
    assert not (tmp_path / "sources" / "climbmix" / pinned.PINS).exists()


def test_pins_that_cannot_be_read_are_not_called_a_write(tmp_path: Path, hub: Hub) -> None:
    pins = tmp_path / "sources" / "climbmix" / pinned.PINS
    pins.mkdir(parents=True)
    with hub, pytest.raises(HarnessError, match=r"cannot read .*pinned\.json: Is a directory"):
        make(tmp_path)


def test_without_a_network_the_error_says_so(
    tmp_path: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    with hub:
        pass  # its address is refused from now on
    with pytest.raises(HarnessError, match=r"/revision/main: .*refused.*network"):
        make(tmp_path)
    monkeypatch.setenv("HF_ENDPOINT", "hub.example.org")
    with pytest.raises(HarnessError, match="HF_ENDPOINT"):
        make(tmp_path)
    assert not list(tmp_path.glob(".partial-*"))
