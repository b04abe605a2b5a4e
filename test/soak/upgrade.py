"""The upgrade soak: the agent is replaced again and again under load, and nobody may notice.

64 callers of every protocol whose answers are compared (msf_soak through libipc's services, msf_nmid_soak with nmid's
own kinds of callers), four workers, one of them the published Go SDK's where Go is, and 1,000 connections that say
nothing until the end. Nothing may fail, nothing may be closed; the longest standstill is printed.
"""

import http.client
import json
import os
import re
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent.parent / "interop"))

import peers

NATIVE_CALLERS = 16
NMID_CALLERS = "g2=20,g0=5,pipelined=5,librpc=10,http=8"
WORKERS = "g2=2,g0=1"
IDLE = 1000
GOAL_MS = 20
PAYLOAD = 16 * 1024
NMID_PAYLOAD = 2000
PATIENCE = 10
SETTINGS = """max_threads=2
max_conns=4000
net_enable=false
nmid_enable=true
nmid_port=0
http_enable=true
http_port=0
metrics_enable=true
metrics_port=0
deadline_ms=10000
login_ms=0
"""
# A worker's PING and the answer to it.
PING, PONG = struct.pack(">III", 2, 22, 0), struct.pack(">III", 1, 23, 0)


@dataclass
class Loads:
    """The programs that make the load."""

    librpc: Path
    nmid: Path
    service: Path


class Agent:
    """A broker in a folder of its own, whose process changes."""

    def __init__(self, stage):
        self.program = stage / "bin" / "msf_agent"
        self.temporary = tempfile.TemporaryDirectory(prefix="msf-upgrade-soak-")
        self.home = Path(self.temporary.name)
        self.socket = self.home / "msf_agent.sock"
        self.env = {**os.environ, "MSF_RUN_DIR": str(self.home), "MSF_LOG_DIR": str(self.home / "log"),
                    "MSF_LOG_RING_DIR": str(self.home)}
        for name in ("MSF_AGENT_SOCK", "MSF_UPGRADE_FROM", "MSF_UPGRADE_BY"):
            self.env.pop(name, None)
        settings = self.home / "agent.conf"
        settings.write_text(SETTINGS)
        self.child = subprocess.Popen([self.program, "-c", settings], env=self.env, cwd=self.home, text=True,
                                      stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        self.greeting = self.child.stdout.readline()

    def place(self, protocol):
        return re.search(rf"{protocol} ([0-9.]+:[0-9]+)", self.greeting).group(1)

    def address(self, protocol):
        host, _, port = self.place(protocol).partition(":")
        return host, int(port)

    def asked(self, *words):
        return subprocess.run([self.program, *words], env=self.env, cwd=self.home, text=True, check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)

    def upgrade(self):
        """Milliseconds without service."""
        done = self.asked("-k", "upgrade")
        if done.returncode != 0:
            raise RuntimeError(f"{done.stdout.strip()}\n{self.log()[-2000:]}")
        return float(re.search(r"([0-9.]+) ms without service", done.stdout).group(1))

    def log(self):
        return (self.home / "log" / "msf_agent.log").read_text(errors="replace")

    def ends_well(self):
        return self.asked("-k", "shutdown").returncode == 0 and "msf_agent has ended" in self.log()

    def close(self):
        if self.child.poll() is None:
            self.child.kill()
        self.child.wait()
        self.child.stdout.close()
        # Whoever took over last wrote its number into our own folder.
        self.asked("-k", "kill")
        self.temporary.cleanup()


class Idle:
    """Connections that say nothing: half over librpc's socket, half over nmid's port."""

    def __init__(self, agent):
        self.librpc = [socket.socket(socket.AF_UNIX) for _ in range(IDLE // 2)]
        for peer in self.librpc:
            peer.connect(str(agent.socket))
        self.nmid = [socket.create_connection(agent.address("nmid")) for _ in range(IDLE - IDLE // 2)]

    def troubles(self):
        """Which of them are not served any longer."""
        dead = 0
        for peer, asks, length in [*((each, None, 0) for each in self.librpc), *((each, PING, len(PONG)) for each in self.nmid)]:
            peer.settimeout(PATIENCE)
            try:
                if asks is None:
                    # Nothing has come, and it is open: it would be readable otherwise.
                    peer.setblocking(False)
                    peer.recv(1)
                    dead += 1
                else:
                    peer.sendall(asks)
                    dead += received(peer, length) != PONG
            except BlockingIOError:
                pass
            except OSError:
                dead += 1
            peer.close()
        return [f"{dead} of {IDLE} idle connections are gone"] if dead else []


def received(peer, length):
    data = b""
    while len(data) < length:
        part = peer.recv(length - len(data))
        if not part:
            break
        data += part
    return data


class GoWorker:
    """A worker of the published Go SDK, and somebody who calls it over one connection and compares."""

    def __init__(self, agent):
        self.calls, self.complaints, self.over = 0, [], threading.Event()
        self.address = agent.address("HTTP")
        self.child = subprocess.Popen([peers.go_worker(peers.NEW), "-server", agent.place("nmid"), "-name", "go",
                                       "-functions", "ToUpper"], cwd=agent.home, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                      text=True)
        while "registered" not in self.child.stdout.readline():
            pass
        self.thread = threading.Thread(target=self.call)
        self.thread.start()

    def call(self):
        line = http.client.HTTPConnection(*self.address, timeout=PATIENCE)
        while not self.over.is_set() and not self.complaints:
            text = f"call {self.calls} of one"
            try:
                line.request("POST", "/call/ToUpper", json.dumps({"name": text}), {"Content-Type": "application/json"})
                answer = line.getresponse()
                body = answer.read().decode()
            except (OSError, http.client.HTTPException) as error:
                self.complaints.append(f"the Go worker: call {self.calls}: {error!r}")
                break
            if answer.status == 404 and self.calls == 0:
                time.sleep(0.01)        # it has registered with the SDK, not with everybody yet
                continue
            if answer.status != 200 or text.upper() not in body:
                self.complaints.append(f"the Go worker: call {self.calls}: {answer.status} {body}")
            self.calls += 1
        line.close()

    def troubles(self):
        self.over.set()
        self.thread.join()
        ended = self.child.poll()
        self.child.kill()
        self.child.wait()
        self.child.stdout.close()
        return self.complaints + ([] if ended is None else [f"the Go worker has ended with {ended}"])


def go_worker(agent):
    try:
        return GoWorker(agent)
    except (peers.Refused, FileNotFoundError) as why:
        print(f"soak upgrade: without the Go SDK: {why}", flush=True)
        return None


def run_pass(loads, stage, seconds, times):
    """Whether everything was right; says what was not."""
    agent = Agent(stage)
    try:
        troubles = judged(agent, loads, seconds, times)
    finally:
        agent.close()
    for trouble in troubles:
        print(f"soak upgrade: {trouble}", flush=True)
    return not troubles


def judged(agent, loads, seconds, times):
    idle, go = Idle(agent), go_worker(agent)
    nmid = [loads.nmid, "--nmid", agent.place("nmid"), "--librpc", agent.socket, "--http", agent.place("HTTP"),
            "--seconds", seconds, "--payload", NMID_PAYLOAD, "--callers", NMID_CALLERS, "--workers", WORKERS,
            "--deadline-ms", 10000]
    native = [loads.librpc, "--beside", agent.home, "--service", loads.service, "--clients", NATIVE_CALLERS,
              "--seconds", seconds, "--payload", PAYLOAD]
    running = {name: subprocess.Popen([str(word) for word in words], text=True, stdout=subprocess.PIPE,
                                      stderr=subprocess.STDOUT, env=agent.env)
               for name, words in (("msf_nmid_soak", nmid), ("msf_soak", native))}
    troubles, stills = upgraded(agent, seconds, times, running)
    for name, child in running.items():
        said, _ = child.communicate(timeout=seconds + 120)
        print(said, end="", flush=True)
        if child.returncode != 0:
            troubles.append(f"{name} ended with {child.returncode}")
    troubles += idle.troubles() + (go.troubles() if go else [])
    if stills:
        stills.sort()
        print(f"{len(stills)} upgrades: without service {stills[len(stills) // 2]} ms (median), {stills[-1]} ms (longest; "
              f"goal {GOAL_MS} ms); {go.calls if go else 0} calls of the Go worker, {IDLE} idle connections", flush=True)
    if len(stills) < times:
        troubles.append(f"{len(stills)} of {times} upgrades")
    if not agent.ends_well():
        troubles.append("the agent did not end well")
    return troubles


def upgraded(agent, seconds, times, running):
    """Replaces the agent `times` times while the load goes on."""
    began, stills = time.monotonic(), []
    # The load begins and ends without an upgrade.
    pause = (seconds - 2) / times
    for number in range(times):
        time.sleep(max(0, began + 1 + number * pause - time.monotonic()))
        if any(child.poll() is not None for child in running.values()):
            return ["the load ended early"], stills
        try:
            stills.append(agent.upgrade())
        except (RuntimeError, subprocess.TimeoutExpired) as why:
            return [f"upgrade {number + 1}: {why}"], stills
    return [], stills
