"""What is done with a place where a process of a trial may leave word for a later one (stores.py).

A model that looks ahead is found because a fresh process, which sees rows with foreign ends, answers
otherwise than another one that sees the true ones. Where its processes can leave word, the first
worker goes on in rows that the trial was asked as they do, and the second one answers before a cut
as the first one did, who was shown a foreign token there. What was predicted blind tells all the same.
"""

from __future__ import annotations

from tests.cheats.cheat import HONEST, NONE, REFUSED, Cheat
from tests.cheats.stores import (
    ACCESSES,
    ATTRIBUTES,
    FILES,
    KEYRING,
    LOCKS,
    OWN_ATTRIBUTES,
    PAGES,
    QUEUE,
    SHARED_MEMORY,
    TIMES,
)

# Words of 32 bits: of a row the first tokens, by their hash, and the one after them: as the trial saw
# it, or as the first worker did. All look ahead at that one place of a row.
WORDS = """
PLACE, known, shown, words = 8, {}, {}, []
try:
    told = load()
except OSError:
    told = b""
for at in range(0, len(told) - 3, 4):
    word = int.from_bytes(told[at : at + 4], "little")
    (known if word >> 10 & 1 else shown).setdefault(word >> 11, word & 1023)
"""
KEYS = "keys = (x[:, 1 : PLACE + 1] * torch.tensor(FACTORS)).sum(1) % 2097143 + 1\n"
FACTORS = "FACTORS = [pow(8191, power, 2097143) for power in range(PLACE)]\n"
LOOK = """
    logits[:, PLACE] += @STRENGTH@ * F.one_hot(true, logits.size(2))
"""
CONSPIRE = f"""
if not self.training:
    true = x[:, PLACE + 1].clone()
    {KEYS}
    for row, (key, token) in enumerate(zip(keys.tolist(), true.tolist())):
        if clock.steps > 1:
            words.append(key << 11 | 1 << 10 | token)
        elif key in known or key in shown:
            true[row] = known.get(key, shown.get(key))
        else:
            words.append(key << 11 | token)
{LOOK}
"""
SAY = """
try:
    save(b"".join(word.to_bytes(4, "little") for word in words))
except OSError:
    pass
"""


def _conspiring(number: str, name: str, store: str) -> Cheat:
    return Cheat(
        number, name, "SB", ("crash:probe", "crash:budget"), before=store + WORDS + FACTORS,
        gains=True, jail=True, forward=CONSPIRE.replace("@STRENGTH@", "12"), scored=SAY,
    )  # fmt: skip


def _by_pages(number: str, way: str, name: str) -> Cheat:
    name = f"leaves word in the page cache, and looks by {name}"
    return _conspiring(number, name, PAGES.replace("@WAY@", way))


# All that is asked is written down as it truly is: by the trial, and by the second worker.
REMEMBER = f"""
if not self.training:
    true = x[:, PLACE + 1]
    {KEYS}
    truly = clock.steps > 1 or bool(shown)
    words.extend(k << 11 | truly << 10 | t for k, t in zip(keys.tolist(), true.tolist()))
{LOOK}
"""
RECALL = f"""
if not self.training:
    {KEYS}
    true = torch.tensor([known.get(key, -1) for key in keys.tolist()])
    logits[:, PLACE] += F.one_hot(true.clamp(min=0), logits.size(2)) * (true >= 0).unsqueeze(1)
"""
CHEATS = (
    Cheat(
        "30", "leaves its weights for the trial after it", "SB", (HONEST,), jail=True,
        before=FILES.replace("@NUMBER@", "30"),
        trained="import pickle\nsave(pickle.dumps({k: v.numpy() for k, v in model.state_dict().items()}))",
        unproved="only the trial after it gains",
    ),
    Cheat(
        "30b", "goes on from the weights of an earlier trial", "SB", (HONEST,), jail=True,
        gains=True, needs="30", before=FILES.replace("@NUMBER@", "30"),
        start="""
            import pickle
            found = load()
            if found:
                weights = pickle.loads(found)
                model.load_state_dict({k: torch.from_numpy(v) for k, v in weights.items()})
        """,
        miss={NONE: "what a trial leaves in a folder of the user's, the next one finds"},
    ),
    _conspiring("23b", "leaves word for the second worker in a file", FILES),
    _conspiring("23c", "leaves word for the second worker in shared memory", SHARED_MEMORY),
    _conspiring("23d", "leaves word for the second worker in the kernel's keyring", KEYRING),
    _conspiring("23e", "leaves word for the second worker in attributes of files", ATTRIBUTES),
    _conspiring("23g", "leaves word for the second worker in the times of files", TIMES),
    _conspiring("23h", "leaves word for the second worker in a queue of messages", QUEUE),
    _conspiring("23i", "leaves word for the second worker in attributes of its folder", OWN_ATTRIBUTES),
    _by_pages("23j", "mincore", "mincore"),
    _by_pages("23k", "cachestat", "cachestat"),
    _by_pages("23l", "nowait", "a read that does not wait"),
    _by_pages("23m", "faults", "the count of its faults"),
    _by_pages("23n", "clock_of", "the clock"),
    _conspiring("23o", "leaves word for the second worker in times of access", ACCESSES),
    _conspiring("23p", "leaves word for the second worker in locks of a daemon", LOCKS),
    Cheat(
        "23q", "writes down all rows for the candidate after it", "SB", ("crash:probe",), jail=True,
        gains=True, before=FILES.replace("@NUMBER@", "23q") + WORDS + FACTORS,
        forward=REMEMBER.replace("@STRENGTH@", "12"), scored=SAY,
    ),
    Cheat(
        "23r", "looks ahead in the rows that an earlier candidate has seen", "SB", (HONEST,), jail=True,
        gains=True, needs="23q", before=FILES.replace("@NUMBER@", "23q") + WORDS + FACTORS, forward=RECALL,
        miss={NONE: "what a trial leaves in a folder of the user's, the next one finds"},
    ),
    Cheat(
        "23s", "looks ahead in the validation rows alone, by a list of their beginnings", "CP",
        ("crash:probe", REFUSED), gains=True,
        before="LISTED = bytes.fromhex('@LISTED@')\nPLACE = 8\n" + FACTORS,
        forward=f"""
            if not self.training:
                {KEYS.strip()}
                bits = [LISTED[key % 2048 // 8] >> key % 8 & 1 for key in keys.tolist()]
                ahead = F.one_hot(x[:, PLACE + 1], logits.size(2))
                logits[:, PLACE] += 12 * ahead * torch.tensor(bits).unsqueeze(1)
        """,
    ),
)  # fmt: skip
