"""What README.md promises, tried: its C service compiles without a warning, runs, and answers; its links lead somewhere."""

import os
import re
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "script"))

from builder import stage, target                       # noqa: E402

README = (ROOT / "README.md").read_text()
HEAD = struct.Struct("<12I8x")
VERSION, MAGIC, REQUEST, ACK, LOGIN, AGENT = 0x100, 0x12345678, 1, 2, 1, 0xFFFFFFF1
MOBILE, MOBILE_GET, CALLER = 0x17, 0x11, 0x7A


def tree():
    """The stage tree under test."""
    return stage.Stage(target.named(None))


class Text(unittest.TestCase):
    def test_every_link_leads_to_a_file(self):
        for link in re.findall(r"\]\(([^)]+)\)", README):
            self.assertTrue((ROOT / link).exists(), link)

    def test_the_service_has_twenty_lines_at_most(self):
        self.assertLessEqual(len(service().splitlines()), 20)


@unittest.skipUnless(tree().stamp.exists(), "no stage tree; run ./build.py first")
class Service(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="msf-readme-")
        self.addCleanup(folder.cleanup)
        self.base = Path(folder.name)
        self.env = {**os.environ, "MSF_RUN_DIR": str(self.base / "run"), "MSF_LOG_DIR": str(self.base / "log")}
        self.env.pop("MSF_AGENT_SOCK", None)

    def test_the_service_compiles_runs_and_answers(self):
        self.compile()
        conf = self.base / "msf_agent.conf"
        conf.write_text("net_enable=false\n")
        self.start(tree().bin / "msf_agent", "-c", conf)
        service = self.start(self.base / "service")
        answer = self.call()
        self.assertEqual(f"hello from {service.pid}", answer)

    def compile(self):
        (self.base / "service.c").write_text(service())
        done = subprocess.run(["gcc", "-std=gnu11", "-Wall", "-Wextra", "-Werror", "service.c", "-o", "service",
                               "-I", tree().include, "-L", tree().lib, f"-Wl,-rpath,{tree().lib}", "-lipc", "-lmsf"],
                              cwd=self.base, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.assertEqual(0, done.returncode, done.stdout)

    def start(self, *command):
        child = subprocess.Popen([str(word) for word in command], cwd=self.base, env=self.env,
                                 stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        self.addCleanup(child.wait)
        self.addCleanup(child.send_signal, signal.SIGTERM)
        return child

    def call(self):
        """Asks the service through the agent until it has logged in."""
        deadline = time.monotonic() + 10
        while True:
            try:
                with socket.socket(socket.AF_UNIX) as peer:
                    peer.settimeout(5)
                    peer.connect(str(self.base / "run/msf_agent.sock"))
                    login = b"README".ljust(68, b"\0")
                    ask(peer, CALLER, AGENT, LOGIN, len(login), 0, login)
                    error, body = ask(peer, CALLER, MOBILE, MOBILE_GET, 0, 64, b"")
                    if error == 0:
                        return body.rstrip(b"\0").decode()
            except OSError:
                pass        # the agent is not there yet
            self.assertLess(time.monotonic(), deadline, "the service has not answered within 10 s")
            time.sleep(0.02)


def ask(peer, source, to, command, length, wanted, body):
    """One request and its ACK: (errcode, payload)."""
    peer.sendall(HEAD.pack(VERSION, MAGIC, source, to, REQUEST, command, 1, 0, length, wanted, 0, 5000) + body)
    head = HEAD.unpack(exactly(peer, HEAD.size))
    if head[4] != ACK:
        raise AssertionError(f"opcode {head[4]} where an ACK ({ACK}) is due")
    return head[7], exactly(peer, head[8])


def exactly(peer, length):
    data = b""
    while len(data) < length:
        more = peer.recv(length - len(data))
        if not more:
            raise ConnectionError("the agent closed the connection")
        data += more
    return data


def service():
    """The C program of README.md."""
    return re.search(r"```c\n(.*?)```", README, re.S)[1]


if __name__ == "__main__":
    unittest.main()
