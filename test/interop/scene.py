"""What every test here is built from: one broker for a class of tests, real workers and clients around it.

A test starts workers, calls through clients and checks what they saw. When it ends its workers are killed, and the
broker must still be there. The broker is msf_agent; with MSF_INTEROP_BROKER=original it is the original one, which shows
what a test is worth: see README.md.
"""

import json
import os
import signal
import subprocess
import tempfile
import unittest
from pathlib import Path

import frames
import peers
from agent import PATIENCE, Agent, wait_for
from original import Original

LIMIT = 120                         # seconds a client program may run


def broker_class():
    return Original if os.environ.get("MSF_INTEROP_BROKER") == "original" else Agent


class Program:
    """A process in a folder of its own, and what it has said so far."""

    def __init__(self, command, env):
        self.temporary = tempfile.TemporaryDirectory(prefix="msf-interop-")
        self.output = Path(self.temporary.name) / "said"
        self.title = " ".join(Path(str(word)).name for word in command)
        with self.output.open("w") as out:
            self.child = subprocess.Popen([str(word) for word in command], env={**os.environ, **env}, stdin=subprocess.DEVNULL,
                                          stdout=out, stderr=subprocess.STDOUT, cwd=self.temporary.name)

    def said(self):
        return self.output.read_text(errors="replace")

    def says(self, words, patience=PATIENCE):
        """Waits until it has said so."""
        def heard():
            if words not in self.said() and not self.alive():
                raise AssertionError(f"{self.title} ended with status {self.child.returncode}:\n{self.said()[-2000:]}")
            return words in self.said()
        wait_for(f"`{words}` from {self.title}", heard, patience)
        return self

    def alive(self):
        return self.child.poll() is None

    def kill(self, sign=signal.SIGKILL):
        if self.alive():
            self.child.send_signal(sign)
        self.child.wait(PATIENCE)

    def close(self):
        self.kill()
        self.temporary.cleanup()


class Scene(unittest.TestCase):
    settings = ""                   # more lines for msf_agent.conf

    @classmethod
    def setUpClass(cls):
        try:
            peers.made(peers.OLD), peers.made(peers.NEW)
        except peers.Refused as why:
            raise unittest.SkipTest(str(why)) from None
        cls.broker = broker_class()(cls.settings)
        cls.addClassCleanup(cls.broker.close)

    def setUp(self):
        self.workers = []
        self.addCleanup(self.sweep)

    def sweep(self):
        """No worker outlives its test, no function outlives its worker, and the broker outlives them all."""
        for program, _ in self.workers:
            program.close()
        self.assertTrue(self.broker.alive(), "the broker is dead")
        for function in {function for _, functions in self.workers for function in functions}:
            wait_for(f"{function} to be forgotten",
                     lambda: frames.asked(self.broker.port, function) == frames.CANT_DO)

    # ---- workers ----

    def served(self, command, functions, env=None, sign="registered"):
        """A worker that the broker knows, with all its functions."""
        program = Program(command, env or {})
        self.workers.append((program, functions))
        if sign:
            program.says(sign)
        for function in functions:
            wait_for(f"{function} to be served",
                     lambda: program.alive() and frames.asked(self.broker.port, function) != frames.CANT_DO)
        return program

    def go_worker(self, version, functions="ToUpper", name="Worker1"):
        command = [peers.go_worker(version), "-server", self.address(), "-name", name, "-functions", functions]
        return self.served(command, [f"At.{name}", *functions.split(",")])

    def first_worker(self, functions="ToUpper"):
        names = functions.split(",")
        return self.served([peers.first(), "worker", self.broker.port, *names], names)

    def python_worker(self):
        """The example of the SDK as it is."""
        return self.served([*self.python("example.py"), "worker", self.broker.port], ["ToUpper"], self.python_env(), None)

    # ---- clients ----

    def go_calls(self, version, function="ToUpper", **options):
        """What a Go client tells of its calls."""
        words = [word for name, value in options.items() for word in flag(name, value)]
        return told(self.ran([peers.go_client(version), "-server", self.address(), "-function", function, *words]))

    def go_call(self, version, function="ToUpper", **options):
        return self.go_calls(version, function, **options)[0]

    def python_calls(self, function="ToUpper", **options):
        words = [word for name, value in options.items() for word in flag(name, value)]
        return told(self.ran([*self.python("caller.py"), self.broker.port, function, *words], self.python_env()))

    def first_call(self, function, *pairs):
        """What a client of the first generation prints; `refused` fails the test."""
        return self.ran([peers.first(), "client", self.broker.port, function, *pairs]).strip()

    def ran(self, command, env=None):
        """A client's stdout, once it has ended well."""
        with tempfile.TemporaryDirectory(prefix="msf-interop-") as folder:
            done = subprocess.run([str(word) for word in command], env={**os.environ, **(env or {})}, cwd=folder, timeout=LIMIT,
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.assertEqual(done.returncode, 0, f"{done.stdout[-1500:]}{done.stderr[-1500:]}")
        return done.stdout

    def python(self, script):
        return [os.sys.executable, peers.HERE / "python" / script]

    def python_env(self):
        try:
            folders = peers.python_path()
        except peers.Refused as why:
            self.skipTest(str(why))
        return {"PYTHONPATH": os.pathsep.join(map(str, folders)), "PYTHONDONTWRITEBYTECODE": "1"}

    def address(self):
        return f"127.0.0.1:{self.broker.port}"

    # ---- what was seen ----

    def assert_upper(self, calls, count, more=""):
        """Every call returned, and each its own name in capitals."""
        wrong = [call for call in calls if (call["Outcome"], call["Data"]) != ("return", call["Name"].upper())]
        self.assertEqual(wrong, [], more)
        self.assertEqual(len(calls), count)


def flag(name, value):
    return [f"-{name}"] if value is True else [f"-{name}", str(value)]


def told(text):
    """The lines of JSON among what a client printed; the Go SDK prints lines of its own."""
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]
