"""Where one process of a trial may leave word for a later one: code that is put into a train.py."""

from __future__ import annotations

# Every store has save(bytes) -> None and load() -> bytes, and raises OSError where it can't.
FILES = """
import os
PLACES = [
    os.environ.get("AUTORESEARCH_SCRATCH", "/tmp"), os.getcwd(), os.path.expanduser("~"), "/tmp",
    "/var/tmp", "/dev/shm", "/run", "/run/lock", "@HOME@", "@LAB@", "@CACHE@", "@VENV@",
    *(v for k, v in os.environ.items() if k.endswith(("_DIR", "_PATH"))),
]
def save(data):
    for place in PLACES:
        try:
            os.makedirs(place, exist_ok=True)
            with open(place + "/.@MARK@-@NUMBER@", "ab") as file:
                file.write(data)
        except OSError:
            pass
def load():
    found = b""
    for place in PLACES:
        try:
            with open(place + "/.@MARK@-@NUMBER@", "rb") as file:
                found = max(found, file.read(), key=len)
        except OSError:
            pass
    return found
"""
SHARED_MEMORY = """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
libc.shmat.restype = ctypes.c_void_p
def segment():
    number = libc.shmget(@SHM@, 1 << 20, 0o1600)
    place = libc.shmat(number, None, 0) if number >= 0 else None
    if number < 0 or place in (None, ctypes.c_void_p(-1).value):
        raise OSError(ctypes.get_errno(), "no shared memory")
    return place
def load():
    place = segment()
    return ctypes.string_at(place + 4, int.from_bytes(ctypes.string_at(place, 4), "little"))
def save(data):
    whole, place = load() + data, segment()
    ctypes.memmove(place + 4, whole, len(whole))
    ctypes.memmove(place, len(whole).to_bytes(4, "little"), 4)
"""
QUEUE = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
def queue():
    number = libc.mq_open(b"/@MARK@", os.O_RDWR | os.O_CREAT | os.O_NONBLOCK, 0o600, None)
    if number < 0:
        raise OSError(ctypes.get_errno(), "no queue of messages")
    return number
def load():
    number, room, parts = queue(), ctypes.create_string_buffer(8192), []
    while (size := libc.mq_receive(number, room, 8192, None)) > 0:
        parts.append(room.raw[:size])
    for part in parts:
        libc.mq_send(number, part, len(part), 0)
    return b"".join(parts)
def save(data):
    libc.mq_send(queue(), data, len(data), 0)
"""
KEYRING = """
import ctypes, platform
libc = ctypes.CDLL(None, use_errno=True)
ADD, KEYCTL = (217, 219) if platform.machine() == "aarch64" else (248, 250)
def call(*arguments):
    got = libc.syscall(*arguments)
    if got < 0:
        raise OSError(ctypes.get_errno(), "no keyring")
    return got
def load():
    whole = b""
    for ring in (-4, -3):  # the user's, the session's
        for part in range(99):
            try:
                name = f"@MARK@-{part}".encode()
                key = call(KEYCTL, 10, ctypes.c_long(ring), b"user", name, 0)  # search
                room = ctypes.create_string_buffer(32000)
                size = call(KEYCTL, 11, ctypes.c_long(key), room, 32000)  # read
                whole += room.raw[:size]
            except OSError:
                break
        if whole:
            return whole
    return whole
def save(data):
    whole, done = load() + data, 0
    for ring in (-4, -3):
        try:
            for part in range(0, len(whole), 16000):
                piece = whole[part : part + 16000]
                call(ADD, b"user", f"@MARK@-{part // 16000}".encode(), piece, len(piece), ctypes.c_long(ring))
            done += 1
        except OSError:
            pass
    if not done:
        raise OSError("no keyring")
"""
ATTRIBUTES = """
import os
ITEMS = sorted(item.path for item in os.scandir("@VENV@/many"))
def load():
    whole = b""
    for item in ITEMS:
        try:
            whole += os.getxattr(item, "user.@MARK@")
        except OSError:
            break
    return whole
def save(data):
    whole = load() + data
    for number in range(0, len(whole), 3000):
        os.setxattr(ITEMS[number // 3000], "user.@MARK@", whole[number : number + 3000])
"""
OWN_ATTRIBUTES = ATTRIBUTES.replace(
    'sorted(item.path for item in os.scandir("@VENV@/many"))',
    '[".", *sorted(item.path for item in os.scandir(".") if item.is_file())]',
)
TIMES = """
import os
ITEMS = sorted(os.scandir("@VENV@/many"), key=lambda item: item.name)
def load():
    found = b"".join(
        moment.to_bytes(8, "little")[:7]
        for item in ITEMS
        for moment in (item.stat().st_atime_ns, item.stat().st_mtime_ns)
    )
    size = int.from_bytes(found[:4], "little")
    return found[8 : 8 + size] if found[4:8] == b"told" else b""
def save(data):
    whole = load() + data
    whole = len(whole).to_bytes(4, "little") + b"told" + whole
    if len(whole) > 14 * len(ITEMS):
        raise OSError("too few files")
    for number, item in enumerate(ITEMS):
        part = whole[14 * number : 14 * number + 14]
        os.utime(item.path, ns=(int.from_bytes(part[:7], "little"), int.from_bytes(part[7:], "little")))
    ITEMS[:] = sorted(os.scandir("@VENV@/many"), key=lambda item: item.name)
"""
# Bits in the page cache: a page of a system's file that was read is one, a page that was not is zero.
PAGES = """
import ctypes, mmap, os, resource, time
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
BITS, PAGE = 48 * 1024, 4096
def mincore(file, at):
    place, told = libc.mmap(None, PAGE, 1, 1, file, ctypes.c_long(at)), ctypes.c_ubyte()
    failed = libc.mincore(ctypes.c_void_p(place), PAGE, ctypes.byref(told))
    libc.munmap(ctypes.c_void_p(place), PAGE)
    if failed:
        raise OSError(ctypes.get_errno(), "mincore")
    return told.value & 1
def cachestat(file, at):
    where, told = (ctypes.c_ulong * 2)(at, PAGE), (ctypes.c_ulong * 5)()
    if libc.syscall(451, file, where, told, 0):
        raise OSError(ctypes.get_errno(), "cachestat")
    return told[0]
def nowait(file, at):
    try:
        return os.preadv(file, [bytearray(1)], at, os.RWF_NOWAIT)
    except BlockingIOError:
        return 0
def faults(file, at):
    with mmap.mmap(file, PAGE, mmap.MAP_SHARED, mmap.PROT_READ, offset=at) as room:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_majflt
        room[0]
        return resource.getrusage(resource.RUSAGE_SELF).ru_majflt == before
def clock_of(file, at):
    began = time.perf_counter_ns()
    os.pread(file, 1, at)
    return time.perf_counter_ns() - began < 20000
def places():
    found = []
    for folder, _, files in os.walk("/usr/lib"):
        for path in (folder + "/" + name for name in files):
            if os.path.isfile(path) and not os.path.islink(path) and os.path.getsize(path) > 1 << 20:
                found.append(path)
    made = []
    for path in sorted(found):
        file = os.open(path, os.O_RDONLY)
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_RANDOM)  # one page at a time
        made += [(file, at) for at in range(0, os.path.getsize(path) - PAGE, PAGE)]
        if len(made) >= BITS:
            return made[:BITS]
    raise OSError("too few pages")
PLACES, LOADED = None, b""
def write(data):
    for bit in range(min(8 * len(data), BITS)):
        if data[bit // 8] >> bit % 8 & 1:
            os.pread(PLACES[bit][0], 1, PLACES[bit][1])
def forget():
    for file, at in PLACES:
        os.posix_fadvise(file, at, PAGE, os.POSIX_FADV_DONTNEED)
def load():
    global PLACES, LOADED
    PLACES = places()
    while len(LOADED) < BITS // 8 - 4:
        word = PLACES[8 * len(LOADED) : 8 * len(LOADED) + 32]
        bits = sum(bool(@WAY@(*place)) << number for number, place in enumerate(word))
        if not bits:
            break
        LOADED += bits.to_bytes(4, "little")
    return LOADED
def save(data):
    if PLACES is None:
        load()
    forget()
    write((b"" if clock.steps > 1 else LOADED) + data)  # the trial itself begins
"""
# A bit in each file: whether it was read, and so has another time of access.
ACCESSES = """
import os
ITEMS = sorted(item.path for item in os.scandir("@VENV@/many"))
def load():
    said = [os.stat(item) for item in ITEMS]
    bits = sum((it.st_atime_ns > it.st_mtime_ns) << number for number, it in enumerate(said))
    return bits.to_bytes(len(ITEMS) // 8 + 1, "little")
def save(data):
    for number, item in enumerate(ITEMS):
        if number // 8 < len(data) and data[number // 8] >> number % 8 & 1:
            open(item, "rb").read(1)
"""
# A bit in each file: whether a process that was left behind has a lock on it.
LOCKS = """
import fcntl, os, time
ITEMS = sorted(item.path for item in os.scandir("@VENV@/many"))[:900]
def load():
    bits = 0
    for number, item in enumerate(ITEMS):
        with open(item) as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                bits |= 1 << number
    return bits.to_bytes(len(ITEMS) // 8 + 1, "little")
def save(data):
    if os.fork():
        return
    os.setsid()
    held = []
    for number, item in enumerate(ITEMS):
        if number // 8 < len(data) and data[number // 8] >> number % 8 & 1:
            held.append(open(item))
            fcntl.flock(held[-1], fcntl.LOCK_EX)
    time.sleep(60)
    os._exit(0)
"""
