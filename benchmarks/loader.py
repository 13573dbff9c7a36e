"""Training tokens per second: pre-packed rows by index, beside documents tokenised on the fly.

    python -m benchmarks.loader [--folder DIR]

Three rates, of the same shapes (B = 128 rows, T = 2048, V = 8192, int64 on the host), in one run on
this machine, on the CPU alone:
    on the fly    the reference's policy (karpathy/autoresearch, prepare.py), written anew
    warm          `Batches` over a file of rows that is in the page cache, in random order
    first touch   the same, each row once, after the file was dropped from the page cache
Documents have log-normal lengths, of text from the standard library. Targets: warm at least 100
times and first touch at least 10 times the rate of on the fly.
"""

from __future__ import annotations

import argparse
import ctypes
import mmap
import os
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import cycle, islice
from pathlib import Path

import numpy as np
import numpy.typing as npt
import tiktoken
import torch

from autoresearch.harness.clock import Clock
from autoresearch.harness.data.tokenizer import BOS, PATTERN, Tokenizer
from autoresearch.harness.loader import Batches, Data

B, T, V = 128, 2048, 8192
DOCUMENTS = 16_384
MEAN_TOKENS, SIGMA = 720, 0.95
ROWS = 150_000  # 615 MB, more than any cache of a processor
ON_THE_FLY_S = 20.0
WARM_BATCHES = 4000
CPU = torch.device("cpu")


def text_of_the_library() -> str:
    root = Path(sysconfig.get_paths()["stdlib"])
    paths = [path for path in root.rglob("*.py") if "site-packages" not in path.parts]
    return "".join(path.read_text("utf-8", errors="replace") for path in sorted(paths))


def documents(text: str, tokenizer: Tokenizer) -> list[str]:
    """Pieces of the text whose lengths in tokens are about log-normal."""
    rng = np.random.default_rng(0)
    chars_per_token = 2_000_000 / len(tokenizer.encode([text[:2_000_000]]))
    tokens = rng.lognormal(np.log(MEAN_TOKENS) - SIGMA**2 / 2, SIGMA, DOCUMENTS)
    sizes = np.maximum(1, tokens * chars_per_token).astype(int)
    starts = rng.integers(0, len(text) - sizes.max(), DOCUMENTS)
    return [text[a : a + size] for a, size in zip(starts.tolist(), sizes.tolist(), strict=True)]


def on_the_fly(
    texts: list[str], encoding: tiktoken.Encoding, bos: int
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """(x, y) for ever: of a buffer of at least 1000 documents the longest that fits; if none does,
    the shortest, cropped. 128 documents are tokenised at a time, by 8 threads."""
    source = cycle(texts)
    held: list[list[int]] = []
    rows = torch.empty((B, T + 1), dtype=torch.int64)
    x, y = torch.empty((B, T), dtype=torch.int64), torch.empty((B, T), dtype=torch.int64)
    while True:
        for row in rows:
            filled = 0
            while filled < T + 1:
                while len(held) < 1000:
                    batch = encoding.encode_ordinary_batch(list(islice(source, 128)), num_threads=8)
                    held += [[bos, *tokens] for tokens in batch]
                gap, best, length = T + 1 - filled, -1, 0
                for index, tokens in enumerate(held):
                    if length < len(tokens) <= gap:
                        best, length = index, len(tokens)
                if best < 0:
                    best = min(range(len(held)), key=lambda index: len(held[index]))
                tokens = held.pop(best)[:gap]
                row[filled : filled + len(tokens)] = torch.tensor(tokens)
                filled += len(tokens)
        x.copy_(rows[:, :-1])
        y.copy_(rows[:, 1:])
        yield x, y


def write_rows(path: Path, texts: list[str], tokenizer: Tokenizer) -> None:
    """The documents' rows again and again, shuffled each time, and synced."""
    stream = tokenizer.encode(texts)
    few = stream[: len(stream) // (T + 1) * (T + 1)].reshape(-1, T + 1)
    rng = np.random.default_rng(0)
    left = ROWS
    with path.open("wb") as file:
        while left:
            some = few[rng.permutation(len(few))[:left]]
            file.write(some.tobytes())
            left -= len(some)
        file.flush()
        os.fsync(file.fileno())


def cached_share(path: Path) -> float:
    """Share of a file's pages that are in the page cache, by mincore."""
    size = path.stat().st_size
    pages = -(-size // mmap.PAGESIZE)
    flags = (ctypes.c_ubyte * pages)()
    # A private map, since ctypes takes the address of a writable buffer alone; nothing is written.
    with path.open("rb") as file, mmap.mmap(file.fileno(), size, access=mmap.ACCESS_COPY) as held:
        first = ctypes.c_char.from_buffer(held)
        libc = ctypes.CDLL(None, use_errno=True)
        failed = libc.mincore(
            ctypes.c_void_p(ctypes.addressof(first)), ctypes.c_size_t(size), flags
        )
        del first
        if failed:
            raise OSError(ctypes.get_errno(), "mincore")
    return float((np.frombuffer(flags, np.uint8) & 1).mean())


def drop_from_cache(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def rate(draw: Callable[[], object], batches: int) -> float:
    """Tokens per second of so many batches."""
    began = time.perf_counter()
    for _ in range(batches):
        draw()
    return batches * B * T / (time.perf_counter() - began)


def over(path: Path, lengths: npt.NDArray[np.int64]) -> Batches:
    """Batches over the file, as a training script has them."""
    rows = np.memmap(path, dtype="<u2", mode="r", shape=(ROWS, T + 1))
    data = Data(
        folder=path.parent,
        vocab_size=V,
        seq_len=T,
        bos=V - 1,
        fingerprint="",
        train=rows,
        val=rows[:1],
        val_bytes=0,
        token_bytes=lengths,
    )
    return Batches(data, B, CPU, 42, Clock(CPU))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, help="where to write 615 MB, on a disk")
    folder = parser.parse_args().folder
    os.environ["AUTORESEARCH_BUDGET"] = "1000000steps"
    began = time.perf_counter()
    text = text_of_the_library()
    pieces = (text[start : start + 10_000] for start in range(0, 10_000_000, 10_000))
    tokenizer = Tokenizer.train(pieces, V)
    texts = documents(text, tokenizer)
    lengths = tokenizer.token_bytes()

    ranks = {piece: rank for rank, piece in enumerate(tokenizer.ranks)}
    encoding = tiktoken.Encoding(
        "reference", pat_str=PATTERN, mergeable_ranks=ranks, special_tokens={BOS: tokenizer.bos}
    )
    reference = on_the_fly(texts, encoding, tokenizer.bos)
    next(reference)
    few = rate(lambda: next(reference), 4)
    reference_rate = rate(lambda: next(reference), max(1, int(few * ON_THE_FLY_S / (B * T))))

    with tempfile.TemporaryDirectory(dir=folder) as name:
        path = Path(name, "train.u16")
        write_rows(path, texts, tokenizer)
        batches = over(path, lengths)
        rate(batches.next, ROWS // B)  # all rows once
        warm_rate = rate(batches.next, WARM_BATCHES)
        del batches
        drop_from_cache(path)
        cached = cached_share(path)
        touch_rate = rate(over(path, lengths).next, ROWS // B)

    print(f"{torch.get_num_threads()} threads, {os.cpu_count()} cores, {sys.platform}", end="")
    print(f", B {B}, T {T}, V {V}, {ROWS * (T + 1) * 2 / 1e6:.0f} MB of rows")
    print(f"on the fly   {reference_rate / 1e6:8.2f} M tokens/s")
    print(f"warm         {warm_rate / 1e6:8.2f} M tokens/s", end="")
    print(f", {warm_rate / reference_rate:.0f} times (target 100)")
    print(f"first touch  {touch_rate / 1e6:8.2f} M tokens/s", end="")
    print(f", {touch_rate / reference_rate:.0f} times (target 10)")
    if cached > 0.01:
        print(f"not a first touch: {cached:.0%} of the file stayed in the page cache; --folder?")
    print(f"{time.perf_counter() - began:.0f} s in all")


if __name__ == "__main__":
    main()
