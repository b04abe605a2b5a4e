#!/usr/bin/env python3
"""What 10 000 idle connections cost msf_agent, and how large it is.

Callers' connections of one kind at a time, nmid and then HTTP, to an agent of their own. Its resident memory is read before
them, when all are connected and have said nothing, and when each has had one answer; what a connection may cost is judged in
both states. The size is that of the stripped program. Exits with 1 when a goal is missed.
"""
import argparse
import json
import resource
import socket
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
import brokers  # noqa: E402
from rounds import Verdicts  # noqa: E402

MOST_PER_CONNECTION = 6 * 1024
MOST_PROGRAM = 2_000_000
# So many connections leave one address for the agent's port; more addresses, more ports.
PER_ADDRESS = 4000
SPARE_FILES = 200


def do_job(function):
    body = struct.pack(">III", 5, 10, len(function)) + function + struct.pack(">I", 1) + b"\x80"
    return struct.pack(">III", 3, 16, len(body)) + body


# What each connection asks once, and how the answer to that begins: CANT_DO from the broker, and 200.
QUESTIONS = {
    "nmid": (do_job(b"nobody has this"), struct.pack(">III", 1, 4, 0)),
    "http": (b"GET /healthz HTTP/1.1\r\nHost: idle\r\n\r\n", b"HTTP/1.1 200 "),
}
SETTINGS = {
    "nmid": {},
    # Nobody is to be closed for being slow while the others connect.
    "http": {"http_header_ms": 600000, "http_idle_ms": 600000},
}


def connect(port, index):
    one = socket.socket()
    one.settimeout(10)
    one.setsockopt(socket.IPPROTO_IP, 24, 1)  # IP_BIND_ADDRESS_NO_PORT: the port is chosen for the pair, at connect
    one.bind((f"127.0.0.{1 + index // PER_ADDRESS}", 0))
    one.connect(("127.0.0.1", port))
    return one


def ask(one, question, beginning):
    one.sendall(question)
    answer = b""
    while len(answer) < len(beginning):
        part = one.recv(4096)
        if not part:
            break
        answer += part
    if not answer.startswith(beginning):
        sys.exit(f"unexpected answer: {answer!r}")


def settled(broker):
    """Resident bytes, once they no longer change."""
    before, now = None, broker.resident_bytes()
    while before != now:
        time.sleep(0.5)
        before, now = now, broker.resident_bytes()
    return now


def measure(folder, options, kind):
    """Resident bytes per connection: [silent, after one answer]."""
    broker = brokers.agent(folder, options.agent, f"idle {kind}", kind, max_conns=options.connections + SPARE_FILES,
                           backlog=4096, **SETTINGS[kind])
    connections = []
    try:
        empty = settled(broker)
        connections = [connect(broker.address, index) for index in range(options.connections)]
        silent = settled(broker)
        for one in connections:
            ask(one, *QUESTIONS[kind])
        served = settled(broker)
        if not broker.alive():
            sys.exit("the agent has ended")
        return [(state - empty) / options.connections for state in (silent, served)]
    finally:
        for one in connections:
            one.close()
        broker.stop()


def program_size(folder, binary):
    stripped = folder / "stripped"
    subprocess.run(["strip", "-o", stripped, binary], check=True)
    return stripped.stat().st_size


def allow_files(wanted):
    """For this process and the agents it starts."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < wanted:
        sys.exit(f"{wanted} open files are wanted, {hard} are allowed here; try fewer --connections")
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--agent", default=brokers.default_agent(), help="the agent (a release build)")
    parser.add_argument("--connections", type=int, default=10_000)
    parser.add_argument("--json", metavar="FILE", help="write all results there")
    options = parser.parse_args()
    if not Path(options.agent).exists():
        sys.exit(f"{options.agent}: not there; ./build.py builds it")
    allow_files(options.connections + SPARE_FILES)
    verdicts, everything = Verdicts(), {}
    with tempfile.TemporaryDirectory(prefix="msf-idle-") as folder:
        for kind in QUESTIONS:
            everything[kind] = measure(Path(folder), options, kind)
            for state, each in zip(("silent", "after one answer"), everything[kind]):
                verdicts.note(f"{options.connections} {kind} connections, {state}", "resident bytes each", f"{each:.0f}",
                              f"<= {MOST_PER_CONNECTION}", each <= MOST_PER_CONNECTION)
        everything["program"] = size = program_size(Path(folder), options.agent)
        verdicts.note("msf_agent, stripped", "bytes", str(size), f"<= {MOST_PROGRAM}", size <= MOST_PROGRAM)
    if options.json:
        Path(options.json).write_text(json.dumps(everything, indent=1))
    return verdicts.print()


if __name__ == "__main__":
    sys.exit(main())
