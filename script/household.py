"""What the demos share: following a log, waiting for a condition, and looking for what is left behind."""

import ctypes
import os
import re
import signal
import stat
import time
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36
POLL = 0.005


class Failure(Exception):
    """One sentence: what should have happened, and what did."""


class Home:
    """Where a demo's programs come from, where they leave what they leave, and the environment that says so."""

    def __init__(self, stage, folder):
        self.bin = stage / "bin"
        self.folder = folder
        self.runtime = folder / "run"
        self.logs = folder / "log"
        self.env = {**os.environ, "MSF_RUN_DIR": str(self.runtime), "MSF_LOG_DIR": str(self.logs),
                    "MSF_LOG_RING_DIR": str(self.logs)}    # what a killed program has not written yet
        self.env.pop("MSF_AGENT_SOCK", None)
        self.memory = shared_memory()


def say(text):
    print(f"demo: {text}", flush=True)


def wait_until(condition, seconds, otherwise, process=None):
    """Polls `condition`; a `process` that ends meanwhile ends the wait."""
    deadline = time.monotonic() + seconds
    while not condition():
        if process is not None and process.poll() is not None:
            raise Failure(f"{otherwise}; the program ended with exit status {process.returncode}")
        if time.monotonic() > deadline:
            raise Failure(f"{otherwise} after {seconds} s")
        time.sleep(POLL)


class Log:
    """A growing text file; every line read is shown."""

    def __init__(self, path, show=True):
        self.path = path
        self.file = path.open(errors="replace")
        self.show = show
        self.rest = ""
        self.unseen = []

    def wait(self, pattern, seconds, otherwise, process=None):
        """The match of the next line that has one; lines before it are passed over."""
        found = []

        def looked():
            self.read()
            while self.unseen and not found:
                match = pattern.search(self.unseen.pop(0))
                if match:
                    found.append(match)
            return found

        wait_until(looked, seconds, otherwise, process)
        return found[0]

    def skip(self):
        """Forgets what was written so far."""
        self.read()
        self.unseen.clear()

    def drain(self):
        self.skip()

    def read(self):
        *lines, self.rest = (self.rest + self.file.read()).split("\n")
        for line in lines:
            self.unseen.append(line)
            if self.show:
                print(f"    {line}", flush=True)


def children_are_ours():
    """Orphaned grandchildren become our children, so that none can hide."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def descendants():
    """Living processes below this one: pid -> what ps would show."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if fields[0] not in "ZX":
                parents[int(entry.name)] = int(fields[1])
    ours, found = {os.getpid()}, {}
    while True:
        more = {pid for pid, parent in parents.items() if parent in ours and pid not in ours}
        if not more:
            return found
        ours |= more
        found.update((pid, command_of(pid)) for pid in more)


def end_descendants():
    """Takes down what a failed run left running: descendants of this very process, nothing else."""
    for pid in descendants():
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


def command_of(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return "?"


def shared_memory():
    """What there is of shared memory on this machine: SysV segments and files of /dev/shm. The rings of logs there are
    other programs', which come and go: the demo's own lie in its folder."""
    found = set()
    try:
        for line in Path("/proc/sysvipc/shm").read_text().splitlines()[1:]:
            found.add(f"SysV shared memory segment {line.split()[1]}")
    except OSError:
        pass
    shm = Path("/dev/shm")
    if shm.is_dir():
        found |= {f"/dev/shm/{path.name}" for path in shm.iterdir() if re.search("^(?!msf-log-).*msf", path.name)}
    return found


def leftovers(folder, runtime, memory_before):
    """Processes below this one, sockets and locks below `folder`, shared memory that was not there before."""
    found = [f"process {pid} ({command})" for pid, command in descendants().items()]
    for path in sorted(folder.rglob("*")):
        if stat.S_ISSOCK(path.lstat().st_mode):
            found.append(f"socket {path}")
    found += [f"file {path}" for path in sorted(runtime.rglob("*"))
              if path.suffix in (".pid", ".lock")]
    bound = Path("/proc/net/unix").read_text()
    found += [f"bound socket {match}" for match in re.findall(rf"\S*{re.escape(str(folder))}\S*", bound)]
    return found + sorted(shared_memory() - memory_before)
