"""The two modules that both sides of the wall load, and the table of cards."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from autoresearch.harness import cards, names
from autoresearch.harness.cards import float32_peak_tflops, has_bfloat16, peak_tflops

# As nvidia-smi, or ROCm, prints them.
BFLOAT16 = {
    "NVIDIA A100-SXM4-80GB": 312.0,
    "NVIDIA A100-SXM4-40GB": 312.0,
    "NVIDIA A100-PCIE-40GB": 312.0,
    "NVIDIA A100 80GB PCIe": 312.0,
    "NVIDIA A10": 125.0,
    "NVIDIA A10G": None,
    "NVIDIA A16": None,
    "NVIDIA A30": 165.0,
    "NVIDIA A40": 149.7,
    "NVIDIA RTX A2000": None,
    "NVIDIA RTX A4000": 76.7,
    "NVIDIA RTX A5000": 111.1,
    "NVIDIA RTX A5500": None,
    "NVIDIA RTX A6000": 154.8,
    "NVIDIA RTX A6000 Laptop GPU": None,
    "NVIDIA RTX 2000 Ada Generation": None,
    "NVIDIA RTX 4000 Ada Generation": None,
    "NVIDIA RTX 4000 SFF Ada Generation": None,
    "NVIDIA RTX 6000 Ada Generation": 364.2,
    "NVIDIA RTX PRO 6000 Blackwell Workstation Edition": None,
    "NVIDIA RTX PRO 6000 Blackwell Server Edition": None,
    "NVIDIA L4": 121.0,
    "NVIDIA L40": 181.0,
    "NVIDIA L40S": 362.0,
    "NVIDIA H100 80GB HBM3": 989.4,
    "NVIDIA H100 PCIe": 756.0,
    "NVIDIA H100 NVL": 835.5,
    "NVIDIA H100 80GB HBM3 MIG 3g.40gb": None,
    "NVIDIA H200": 989.4,
    "NVIDIA H200 NVL": 835.5,
    "NVIDIA GH200 480GB": 989.4,
    "NVIDIA GH200 144G HBM3e": None,
    "NVIDIA B200": 2250.0,
    "NVIDIA GB200": None,
    "NVIDIA GeForce RTX 3060": 25.5,
    "NVIDIA GeForce RTX 3060 Laptop GPU": None,
    "NVIDIA GeForce RTX 3080": 59.5,
    "NVIDIA GeForce RTX 3080 Ti": None,
    "NVIDIA GeForce RTX 3080 Ti Laptop GPU": None,
    "NVIDIA GeForce RTX 3090": 71.0,
    "NVIDIA GeForce RTX 3090 Ti": None,
    "NVIDIA GeForce RTX 4070": 58.3,
    "NVIDIA GeForce RTX 4070 SUPER": None,
    "NVIDIA GeForce RTX 4080": 97.5,
    "NVIDIA GeForce RTX 4080 SUPER": None,
    "NVIDIA GeForce RTX 4090": 165.2,
    "NVIDIA GeForce RTX 4090 D": None,
    "NVIDIA GeForce RTX 4090 Laptop GPU": None,
    "NVIDIA GeForce RTX 5090": 209.5,
    "NVIDIA GeForce RTX 5090 D": None,
    "AMD Instinct MI300X": 1307.4,
    "AMD Instinct MI300X VF": None,
    "Apple GPU": None,
    "": None,
}
FLOAT32 = {
    "Tesla T4": 8.1,
    "NVIDIA T4": 8.1,
    "NVIDIA T400": None,
    "Tesla V100-SXM2-16GB": 15.7,
    "Tesla V100-PCIE-32GB": 14.0,
    "Tesla V100S-PCIE-32GB": 16.4,
    "Tesla P100-PCIE-16GB": 9.3,
    "Tesla P100-SXM2-16GB": 10.6,
    "Tesla P40": None,
    "Quadro RTX 6000": 16.3,
    "NVIDIA Quadro RTX 6000": 16.3,
    "Quadro P2000": None,
    "NVIDIA TITAN RTX": 16.3,
    "NVIDIA TITAN V": None,
    "NVIDIA GeForce RTX 2080 Ti": 13.4,
    "NVIDIA GeForce RTX 2080": 10.1,
    "NVIDIA GeForce RTX 2080 SUPER": None,
    "NVIDIA GeForce RTX 2070 with Max-Q Design": None,
    "NVIDIA GeForce GTX 1080 Ti": None,
    "NVIDIA GeForce GTX 1650": None,
    "NVIDIA GeForce MX450": None,
}


def test_peaks_are_found_by_whole_names() -> None:
    assert {name: peak_tflops(name) for name in BFLOAT16} == BFLOAT16
    assert set(cards.PEAKS.values()) == {peak for peak in BFLOAT16.values() if peak}
    assert not [name for name in FLOAT32 if peak_tflops(name) is not None]


def test_cards_before_ampere_have_no_bfloat16() -> None:
    assert {name: float32_peak_tflops(name) for name in FLOAT32} == FLOAT32
    assert not [name for name in BFLOAT16 if float32_peak_tflops(name) is not None]
    assert [name for name in BFLOAT16 if not has_bfloat16(name)] == []
    assert [name for name in FLOAT32 if has_bfloat16(name)] == []


@pytest.mark.parametrize("module", ["names", "cards"])
def test_what_both_sides_load_is_of_the_standard_library(module: str) -> None:
    program = (
        "import sys; before = set(sys.modules)\n"
        f"import autoresearch.harness.{module}\n"
        "print(*{name.partition('.')[0] for name in set(sys.modules) - before})"
    )
    source = Path(names.__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-S", "-c", program],
        env={**os.environ, "PYTHONPATH": str(source)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    loaded = set(done.stdout.split())
    assert loaded - {"autoresearch"} <= sys.stdlib_module_names, loaded


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("300s", (300, "s")),
        ("600steps", (600, "steps")),
        ("614400tokens", (614400, "tokens")),
        *((text, None) for text in ("", "0s", "s", "3 s", "-1s", "1.5s", "5m", "3s\n", "٣s", "9" * 16 + "s")),
    ],
)  # fmt: skip
def test_a_budget_is_a_whole_number_and_a_unit(text: str, found: tuple[int, str] | None) -> None:
    assert names.read_budget(text) == found


def test_the_cache_is_found_the_same_from_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AUTORESEARCH_CACHE", "below")
    assert names.cache_folder() == tmp_path / "below"
    monkeypatch.delenv("AUTORESEARCH_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert names.cache_folder() == tmp_path / "xdg" / "autoresearch"


def prepared(cache: Path, name: str, settings: object) -> Path:
    (cache / name).mkdir(parents=True)
    (cache / name / names.MANIFEST).write_text(json.dumps({"settings": settings}))
    return cache / name


def test_the_data_of_some_settings_is_the_current_one_or_the_last_one_prepared(
    tmp_path: Path,
) -> None:
    wanted = {"source": "stdlib", "seq_len": 64}
    assert names.prepared_name(tmp_path, wanted) is None
    for age, name in enumerate("abc"):
        os.utime(prepared(tmp_path, name, wanted), (9 - age, 9 - age))
    prepared(tmp_path, "other", {**wanted, "seq_len": 32})
    for broken in ("[]", "{", "3", "null", ""):
        prepared(tmp_path, f"broken{ord((broken or 'x')[0])}", None)
        (tmp_path / f"broken{ord((broken or 'x')[0])}" / names.MANIFEST).write_text(broken)
    (tmp_path / names.CURRENT).write_text("other\n")
    assert names.prepared_name(tmp_path, wanted) == "a"
    (tmp_path / names.CURRENT).write_text("c\n")
    assert names.prepared_name(tmp_path, wanted) == "c"
    for bad in ("../c", ".partial-c", "", "a\0b"):
        (tmp_path / names.CURRENT).write_text(bad)
        assert names.current_name(tmp_path) is None and names.prepared_name(tmp_path, wanted) == "a"


def test_settings_name_a_path_absolutely_and_shards_by_number(tmp_path: Path) -> None:
    settings = {
        "source": "texts/../texts",
        "shards": 0,
        "vocab_size": 1,
        "seq_len": 2,
        "val_tokens": 3,
    }
    found = names.data_settings(settings, tmp_path)
    assert found == {**settings, "source": str(tmp_path.resolve() / "texts")}
    hub = {**settings, "source": "climbmix"}
    assert names.data_settings(hub, tmp_path)["shards"] == names.USUAL_SHARDS["climbmix"]
    assert names.data_settings({**hub, "shards": 3}, tmp_path) == {**hub, "shards": 3}
    assert names.data_settings({**settings, "source": "stdlib", "shards": None}, tmp_path) == {
        **settings, "source": "stdlib"
    }  # fmt: skip
