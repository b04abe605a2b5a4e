"""A house of its own for each test: the stage tree's programs, run in folders that vanish with the test.

The stage tree is $MSF_STAGE, else build/<this machine's target>. Nothing here sleeps: programs tell when they are
ready through MSF_READY_FD, everything else is polled with a deadline.
"""

import hashlib
import os
import platform
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
STAGE = Path(os.environ.get("MSF_STAGE") or ROOT / "build" / f"{platform.machine()}-unknown-linux-gnu").resolve()
GCC = os.environ.get("CC", "gcc")
OWN = None if "MSF_TEST_BUILT" in os.environ else tempfile.TemporaryDirectory(prefix="msf_built_")
BUILT = Path(OWN.name if OWN else os.environ["MSF_TEST_BUILT"])
PATIENCE = 30.0                     # seconds until a test gives up waiting for something that takes milliseconds
STRICT = ["-std=gnu11", "-O1", "-g", "-Wall", "-Wextra", "-Wpedantic", "-Werror"]


def program(name):
    return STAGE / "bin" / name


def wait_for(what, condition, patience=PATIENCE):
    """The condition's first true value; AssertionError naming `what` when there is none in time."""
    deadline = time.monotonic() + patience
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {patience} s for {what}")
        time.sleep(0.005)


def gone(pid):
    """Whether a process has ended, whoever is to reap it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True


def listens(place):
    """Whether somebody takes connections there; the file of a socket comes a moment earlier."""
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(place)) == 0


class House:
    """Temporary folders, an environment that points at them, and the processes started in it."""

    def __init__(self, test):
        self.folder = Path(tempfile.mkdtemp(prefix="msf_house_"))
        self.folder.chmod(0o755)
        test.addCleanup(self.tear_down)
        self.run = self.folder / "run"
        self.log = self.folder / "log"
        self.run.mkdir(mode=0o700)
        self.log.mkdir()
        self.started = []
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "ASAN_OPTIONS") if name in os.environ}
        self.env = {**kept, "MSF_RUN_DIR": str(self.run), "MSF_LOG_DIR": str(self.log)}
        self.rings = self.ring_folder()

    def ring_folder(self):
        """Rings of programs that are killed would stay in /dev/shm when their log is gone."""
        try:
            folder = Path(tempfile.mkdtemp(prefix="msf-log-house-", dir="/dev/shm"))
        except OSError:
            return None
        folder.chmod(0o1777)
        self.env["MSF_LOG_RING_DIR"] = str(folder)
        return folder

    def tear_down(self):
        for child in self.started:
            if child.poll() is None:
                child.kill()
            child.wait()
            for pipe in (child.stdout, child.stderr):
                if pipe:
                    pipe.close()
        for folder in filter(None, (self.folder, self.rings)):
            shutil.rmtree(folder, ignore_errors=True)

    def start(self, command, ready=False, **options):
        """Starts a program; with ready, returns when it says so or has ended."""
        output = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL, "text": True,
                  "cwd": self.folder, "env": self.env, **options}
        if not ready:
            child = subprocess.Popen([str(word) for word in command], **output)
            self.started.append(child)
            return child
        here, there = os.pipe()
        try:
            output["env"] = {**output["env"], "MSF_READY_FD": str(there)}
            child = subprocess.Popen([str(word) for word in command], pass_fds=[there], **output)
            self.started.append(child)
        finally:
            os.close(there)
        with os.fdopen(here, "rb") as pipe:
            told, _, _ = select.select([pipe], [], [], PATIENCE)
            if not told:
                raise AssertionError(f"{command[0]} was not ready within {PATIENCE} s")
            pipe.read(1)
        return child

    def call(self, command, **options):
        """Runs a program to its end."""
        options = {"cwd": self.folder, "env": self.env, "timeout": 30, "text": True, "stdin": subprocess.DEVNULL,
                   "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
        return subprocess.run([str(word) for word in command], check=False, **options)

    def agent(self, **options):
        """A broker of this house, ready."""
        child = self.start([program("msf_agent")], **options)
        wait_for("the agent's socket", (self.run / "msf_agent.sock").is_socket)
        return child

    def text(self, name):
        """What a log file of this house says so far."""
        path = self.log / name
        return path.read_text(errors="replace") if path.exists() else ""

    def compile(self, source, to, *flags):
        """A C file of ours, as strictly as the compiler can. What was compiled before is copied: many tests want the same."""
        made = BUILT / hashlib.sha256(repr((Path(source).read_bytes(), flags)).encode()).hexdigest()
        if not made.exists():
            fresh = self.folder / f".{made.name}"
            command = [GCC, *STRICT, "-I", STAGE / "include", *flags, source, "-o", fresh, "-L", STAGE / "lib",
                       "-lipc", "-lmsf", "-pthread"]
            done = self.call(command)
            assert done.returncode == 0, done.stderr
            # Another test may do the same at the same time.
            half = BUILT / f".{made.name}.{os.getpid()}"
            shutil.move(fresh, half)
            half.replace(made)
        shutil.copy(made, to)
        return to

    def end(self, child, sign=signal.SIGTERM):
        """Signals a process of this house and returns (exit status, stdout, stderr)."""
        child.send_signal(sign)
        out, err = child.communicate(timeout=PATIENCE)
        return child.returncode, out, err
