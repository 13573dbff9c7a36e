"""Cheats that stop the run: a night is over, or begins each call with the same poisoned candidate.

Each is a train.py without torch. What must come of it is a row, a discard or a crash; the experiment
after it runs, the run ends with 0, and nothing is left of it (tests/ratchet/test_stops.py).
"""

from __future__ import annotations

from dataclasses import dataclass

HEAD = """\
import array, ctypes, errno, fcntl, json, os, resource, signal, socket, stat, struct, sys, time
SCRATCH, COMPILED = os.environ["AUTORESEARCH_SCRATCH"], os.path.dirname(os.environ["CUDA_CACHE_PATH"])
os.makedirs("warm", exist_ok=True)
def may(act, *arguments, **named):
    try:
        return act(*arguments, **named)
    except OSError as fault:
        print("refused:", fault)
"""
TAIL = """
print("val_bpb: 2.000000", flush=True)
"""

# An honest trial with an exam, without torch: every token is as likely as any other.
EXAMINED = """\
import array, hashlib, json, os, socket, struct, sys, time
end = socket.socket(fileno=int(os.environ["AUTORESEARCH_EXAMINER"]))
def send(kind, payload=b"", **fields):
    header = json.dumps({"kind": kind, **fields, "bytes": len(payload)}).encode()
    end.sendall(struct.pack(">I", len(header)) + header + payload)
def whole(count):
    found = b""
    while len(found) < count:
        piece = end.recv(count - len(found))
        if not piece:
            sys.exit("the examiner is gone")
        found += piece
    return found
def hear():
    fields = json.loads(whole(*struct.unpack(">I", whole(4))))
    if fields["kind"] == "refused":
        sys.exit(fields["reason"])
    return fields, whole(fields["bytes"])
STATE, STEPS = bytes(8), 1
TENSORS = [["weight", "float32", [2]]]
send("hello")
told, _ = hear()
# hello: the examiner has welcomed us
send("rows", first=0, count=4, flops_per_token=1.0)
hear()
# trained: rows were granted
digest = hashlib.sha256(hashlib.sha256(STATE).digest()).hexdigest()
send("handover", rows=4, steps=STEPS, tokens=4 * told["seq_len"], tensors=TENSORS, digest=digest)
while True:
    asked, payload = hear()
    # asked: a batch, the state, or the end
    if asked["kind"] == "ask":
        send("logits", bytes(2 * len(payload) * told["vocab_size"]))
    elif asked["kind"] == "keep":
        send("tensor", STATE)
    elif asked["kind"] == "end":
        break
print(f"val_bpb: {asked['bpb']:.6f}", flush=True)
# end: the exam is over
"""


@dataclass(frozen=True)
class Stop:
    """A script that would stop the run. at: the place in EXAMINED behind which its code stands, "" of a
    script without an exam. whole: its code is all of it. slow: it sits out its time."""

    name: str
    code: str
    at: str = ""
    whole: bool = False
    slow: bool = False

    def script(self, number: int) -> str:
        """The whole train.py; the number makes it another one than any before."""
        about = f"NUMBER = {number}\n"
        if not self.at:
            return about + (self.code if self.whole else HEAD + self.code.strip() + TAIL)
        (line,) = [
            each for each in EXAMINED.splitlines() if each.strip().startswith(f"# {self.at}")
        ]
        indent = line[: len(line) - len(line.lstrip())]
        code = "".join(f"{indent}{each}\n" for each in self.code.strip().splitlines())
        return about + EXAMINED.replace(f"{line}\n", f"{line}\n{code}")


STOPS = (
    # -- sizes ------------------------------------------------------------------------------------
    Stop("a tracked file of 60 GiB", 'os.truncate("train.py", 60 << 30)'),
    Stop("a frozen file of 60 GiB", 'may(os.truncate, "program.md", 60 << 30)'),
    Stop("a log of 60 GiB with nothing in it", "os.ftruncate(1, 60 << 30)"),
    Stop("sparse files of 64 GiB", """
for n in range(20):
    for place in (".", SCRATCH, COMPILED):
        with open(f"{place}/sparse{n}", "wb") as file:
            file.truncate(64 << 30)
"""),
    Stop("a log of 20 million empty lines", 'os.write(1, b"\\n\\r" * 10_000_000)'),
    Stop("one line of 50 MB", 'os.write(1, b"x" * 50_000_000 + b"\\n")'),
    Stop("20,000 files", """
for place in (".", SCRATCH):
    for n in range(10_000):
        os.close(os.open(f"{place}/{n}", os.O_CREAT | os.O_WRONLY))
"""),
    # -- modes ------------------------------------------------------------------------------------
    Stop("a log closed by its descriptor", "os.fchmod(1, 0)"),
    Stop("a closed worktree", "may(os.chmod, '.', 0)"),
    Stop("a closed folder of the compilers", "may(os.chmod, COMPILED, 0)"),
    Stop("closed folders in folders everywhere", """
for place in (".", SCRATCH, COMPILED):
    may(os.makedirs, place + "/a/b/c")
    for folder in ("/a/b/c", "/a/b", "/a", ""):
        may(os.chmod, place + folder, 0)
"""),
    Stop("a mask that closes all that is made", """
os.umask(0o777)
for place in (".", SCRATCH, COMPILED, "warm"):
    may(os.mkdir, place + "/closed")
    os.close(os.open(place + "/file", os.O_CREAT | os.O_WRONLY))
"""),
    Stop("flags that forbid even root to remove", """
for place in ("flagged", SCRATCH + "/flagged", "warm/flagged"):
    os.makedirs(place + "/in")
    open(place + "/file", "w").close()
    for name, flag in ((place + "/file", 0x10), (place + "/in", 0x20), (place, 0x10)):
        descriptor = os.open(name, os.O_RDONLY)
        may(fcntl.ioctl, descriptor, 0x40086602, struct.pack("q", flag))
"""),
    Stop("a log that may only be appended to", """
descriptor = may(os.open, "/proc/self/fd/1", os.O_RDONLY)
for each in (1, descriptor or 1):
    may(fcntl.ioctl, each, 0x40086602, struct.pack("q", 0x20))
"""),
    # -- what stands in a place -------------------------------------------------------------------
    Stop("pipes, sockets and folders for files", """
for name, make in (("program.md", os.mkfifo), ("train.py", os.mkdir)):
    may(os.remove, name)
    may(make, name)
may(socket.socket(socket.AF_UNIX).bind, "socket")
may(os.mkfifo, "autoresearch.toml.lock")
"""),
    Stop("devices for files", """
for n, name in enumerate(("program.md", "device")):
    may(os.remove, name)
    may(os.mknod, name, 0o600 | stat.S_IFCHR, os.makedev(1, 5))
"""),
    Stop("a pipe for .git", """
may(os.remove, ".git")
may(os.mkfifo, ".git")
"""),
    Stop("a repository of its own", """
may(os.remove, ".git")
for place in (".git", "nested/.git", "nested/nested/.git"):
    may(os.makedirs, place + "/refs")
    for name, text in (("HEAD", "ref: refs/heads/x\\n"), ("index.lock", ""), ("config", "[")):
        may(lambda: open(place + "/" + name, "w").write(text))
"""),
    Stop("a pipe for the log", """
log = os.readlink("/proc/self/fd/1")
may(os.remove, log)
may(os.mkfifo, log)
"""),
    Stop("a folder for the log", """
log = os.readlink("/proc/self/fd/1")
may(os.remove, log)
may(os.makedirs, log + "/in")
"""),
    Stop("an endless device for the log", """
log = os.readlink("/proc/self/fd/1")
may(os.remove, log)
may(os.symlink, "/dev/zero", log)
"""),
    Stop("a link for the worktree", """
here = os.getcwd()
may(os.rename, here, SCRATCH + "/moved")
may(os.symlink, "/proc", here)
"""),
    Stop("a file for the folder of the compilers", """
may(os.rename, COMPILED, SCRATCH + "/moved")
may(lambda: open(COMPILED, "w").write("x"))
"""),
    Stop("a link for its scratch folder", """
may(os.rmdir, SCRATCH)
may(os.symlink, "/proc", SCRATCH)
"""),
    Stop("a pipe for a cache", """
os.rename("warm", "moved")
os.mkfifo("warm")
"""),
    Stop("a closed cache, deeper than Python recurses", """
os.chdir("warm")
for _ in range(2000):
    os.mkdir("d")
    os.chdir("d")
os.chdir(os.path.dirname(os.path.abspath(sys.argv[0])))
may(os.chmod, "warm", 0)
"""),
    Stop("mounts that lead out", """
libc = ctypes.CDLL(None, use_errno=True)
for name, kind, flags in (("held", b"", 4096), ("own", b"tmpfs", 0)):
    os.mkdir(name)
    libc.mount(b"/etc/alternatives", name.encode(), kind, flags, None)
"""),
    # -- names and shapes -------------------------------------------------------------------------
    Stop("5,000 folders deep", """
for place in (os.getcwd(), SCRATCH, COMPILED):
    os.chdir(place)
    for _ in range(5000):
        os.mkdir("d")
        os.chdir("d")
"""),
    Stop("names of 255 bytes, and of no text", """
for place in (b".", os.fsencode(SCRATCH), os.fsencode(COMPILED)):
    for name in (b"n" * 255, b"\\xff\\xfe\\xed\\xa0\\x80", b"a\\nb\\x1b[2J", b"-rf", b" "):
        os.makedirs(place + b"/" + name + b"/" + name)
"""),
    Stop("links in circles", """
os.symlink("b", "a"), os.symlink("a", "b"), os.symlink(".", "self")
os.mkdir("in"), os.symlink("../in", "in/out"), os.symlink("loop", "warm/loop")
for n in range(200):
    os.symlink(f"{n}", f"{n + 1}")
"""),
    Stop("hard links of what is tracked", """
for n in range(100):
    may(os.link, "train.py", f"{SCRATCH}/{n}") or may(os.link, "train.py", f"linked{n}")
"""),
    # -- processes --------------------------------------------------------------------------------
    Stop("stops itself", "os.kill(os.getpid(), signal.SIGSTOP)", slow=True),
    Stop("stops the process that watches it", """
os.kill(os.getppid(), signal.SIGSTOP)
time.sleep(60)
""", slow=True),
    Stop("kills the process that watches it", "os.kill(os.getppid(), signal.SIGKILL)\ntime.sleep(3)"),
    Stop("a hundred processes that fork on and on", """
for _ in range(100):
    if not os.fork():
        os.setsid()
        for _ in range(1000):
            if os.fork():
                os._exit(0)
            time.sleep(0.01)
        os._exit(0)
"""),
    Stop("orphans at work in its folders", """
for place in (".", SCRATCH, "warm"):
    if not os.fork():
        os.setsid()
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        os.chdir(place)
        held = open("held", "w")
        fcntl.flock(held, fcntl.LOCK_EX)
        n = 0
        while True:
            os.mkdir(f"{n}")
            n += 1
            time.sleep(0.001)
time.sleep(0.2)
"""),
    Stop("locks all that it may open", """
for name in ("train.py", "program.md", "/proc/self/fd/1", ".", SCRATCH, COMPILED):
    descriptor = may(os.open, name, os.O_RDONLY)
    if descriptor is not None:
        may(fcntl.flock, descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        may(fcntl.fcntl, descriptor, 1024, 0)
if not os.fork():
    os.setsid()
    time.sleep(60)
"""),
    Stop("limits, niceness and no standard output", """
os.nice(19)
for name in ("RLIMIT_NOFILE", "RLIMIT_NPROC", "RLIMIT_DATA", "RLIMIT_STACK", "RLIMIT_CPU"):
    may(resource.setrlimit, getattr(resource, name), (1 << 20, 1 << 20))
print("val_bpb: 2.000000", flush=True)
for descriptor in range(64):
    may(os.close, descriptor)
os._exit(0)
"""),
    Stop("a dump of a large memory", """
held = bytearray(200 << 20)
may(resource.setrlimit, resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
os.abort()
"""),
    Stop("all the memory that it may have", """
resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
held = []
while True:
    held.append(bytearray(64 << 20))
"""),
    Stop("shared memory that outlives it", """
for name in ("stops-file", "stops-folder/in/in"):
    path = f"/dev/shm/{name}-{os.getpid()}"
    may(os.makedirs, os.path.dirname(path), exist_ok=True)
    may(lambda: open(path, "wb").write(bytes(1 << 20)))
    may(os.chmod, os.path.dirname(path), 0) if "folder" in name else None
"""),
    # -- what the log says ------------------------------------------------------------------------
    Stop("numbers that are too large, too small, and none", """
for text in ("9" * 60_000, "1e999", "-1e-999", "nan", "-inf", "1e308"):
    for key in ("training_seconds", "peak_vram_mb", "num_steps", "startup_seconds"):
        print(f"{key}: {text}")
    for value in (text, f'"{text}"', f"[{text}]"):
        print('{"step": %s, "loss": %s, "progress": %s, "tokens_per_s": %s}' % ((value,) * 4))
print('{"step": ' + "[" * 900)
"""),
    Stop("a metric that is hardly a number", """
print("val_bpb: 1" + "0" * 300, flush=True)
os._exit(0)
"""),
    Stop("half characters, colours, and no text at all", """
os.write(1, b"\\xed\\xa0\\x80 \\xff\\x00\\x1b]0;x\\x07\\x1b[2J\\xe2\\x80\\xae" * 1000 + b"\\n")
os.write(1, bytes(range(256)) * 4000 + b"\\n")
os.write(1, b"device: \\xed\\xa0\\x80\\nfingerprint: \\xff\\n")
"""),
    Stop("no Python at all", ") = (\n", whole=True),
    Stop("parentheses without end", "(" * 5000 + "\n", whole=True),
)  # fmt: skip

_FRAME = "end.sendall(struct.pack('>I', len(text)) + text)"
EXAM_STOPS = (
    Stop("its own end of the socket, sent over itself", """
send("rows", first=0, count=20_000, flops_per_token=1.0)
time.sleep(0.5)
end.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [end.fileno()]))])
os._exit(0)
""", "hello"),
    Stop("two ends of other sockets that hold it", """
a, b = socket.socketpair()
held = array.array("i", [end.fileno(), a.fileno()])
b.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, held)])
end.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [b.fileno()]))])
os._exit(0)
""", "trained"),
    Stop("two hundred descriptors with each byte", """
for _ in range(20):
    held = array.array("i", [end.fileno()] * 200)
    end.sendmsg([b"\\x00"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, held)])
""", "hello"),
    Stop("a state of 16 GiB", "TENSORS = [['weight', 'uint8', [1 << 34]]]", "trained"),
    Stop("a state of 16 GiB, of which it sends the head", """
TENSORS = [["weight", "uint8", [1 << 34]]]
class Endless(bytes):
    def __len__(self):
        return 1 << 34
STATE = Endless(8)
""", "trained"),
    Stop("a state of a thousand times 16 MiB", """
TENSORS = [[f"w{n}", "uint8", [1 << 24]] for n in range(1000)]
""", "trained"),
    Stop("a batch of all the memory there is", """
send("rows", first=0, count=65536, flops_per_token=1.0)
hear()
""", "hello"),
    Stop("half a message, and no more", 'end.sendall(b"\\x00\\x00")\nos._exit(0)', "hello"),
    Stop("a header that is announced and never comes", """
end.sendall(struct.pack(">I", 1 << 20) + b"{")
os._exit(0)
""", "hello"),
    Stop("a header of four gigabytes", 'end.sendall(b"\\xff\\xff\\xff\\xff")', "trained"),
    Stop("a header without end of depth", f"text = b'[' * 500_000\n{_FRAME}", "hello"),
    Stop("a header that is no object", f"text = b'[1, null]'\n{_FRAME}", "hello"),
    Stop("a header that is no text", f"text = b'\\xed\\xa0\\x80' * 9\n{_FRAME}", "hello"),
    Stop("a number of a hundred thousand digits", f"""
text = b'{{"kind": "rows", "first": 0, "bytes": 0, "count": ' + b"9" * 100_000 + b"}}"
{_FRAME}
""", "hello"),
    Stop("numbers below zero, no numbers, and truths", """
send("rows", first=-1, count=-5, flops_per_token=float("nan"))
send("rows", first=True, count=1e308, flops_per_token=float("inf"))
""", "hello"),
    Stop("a size below zero", f"""
text = b'{{"kind": "rows", "first": 0, "count": 4, "bytes": -7}}'
{_FRAME}
""", "trained"),
    Stop("a failure whose reason is no text", f"""
text = json.dumps({{"kind": "fail", "bytes": 0, "reason": 0}}).encode()
text = text.replace(b'"reason": 0', b'"reason": ' + b"[" * 400 + b"]" * 400)
{_FRAME}
""", "trained"),
    Stop("a failure in half characters", 'send("fail", reason="\\ud800\\x1b[2J" * 1000)', "trained"),
    Stop("tensors with sides below zero and names of no text", """
TENSORS = [["\\ud800" * 100, "float32", [-2]], ["x", ["float32"], [1]], [None, "float32", {}]]
""", "trained"),
    Stop("a tensor of sixteen endless sides", "TENSORS = [['w', 'complex128', [1 << 48] * 16]]", "trained"),
    Stop("answers of another size", """
send("logits", b"x" * 7)
send("logits", b"")
""", "asked"),
    Stop("answers that are no numbers", """
if asked["kind"] == "ask":
    send("logits", b"\\xff" * (2 * len(payload) * told["vocab_size"]))
    continue
""", "asked"),
    Stop("more answers than were asked for", """
for _ in range(50):
    send("logits", bytes(2 * max(4, len(payload)) * told["vocab_size"]))
""", "asked"),
    Stop("closes its end, and goes on", "end.close()\ntime.sleep(1)\nos._exit(0)", "trained"),
    Stop("kills what is beside it", """
import signal
for name in os.listdir("/proc"):
    if name.isdigit():
        try:
            words = open(f"/proc/{name}/cmdline").read()
            if "examine" in words and "@ROOT@" in words:
                os.kill(int(name), signal.SIGKILL)
        except OSError:
            pass
time.sleep(0.5)
""", "trained"),
)  # fmt: skip
