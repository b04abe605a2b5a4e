#!/usr/bin/env python3
"""The original nmid broker, built from its module: the measure for tests and benchmarks, never a part of libmsf.

    original.py             builds it if need be, runs it until it is interrupted, says where it listens

Used from a program:

    with Original() as broker:          # the program itself is peers.original_broker(), under build/interop/<version>
        ... broker.port ... broker.http

It knows no arguments: it reads config/server.yaml in its working directory, dies without the sections RpcServer,
WhiteList, BlackList and Prometheus, and writes its log to nmid_log_dir there. So it runs in a folder of its own. It
cannot choose a port by itself; one that is free is looked up and written down, with the next one tried should somebody
else have been quicker.
"""

import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path

import peers
from agent import PATIENCE, wait_for

SETTINGS = """\
RpcServer: {{network: "tcp", host: "127.0.0.1", port: "{nmid}", http_port: "{http}"}}
WhiteList: {{enable: false}}
BlackList: {{enable: false}}
Prometheus: {{enable: false, host: "127.0.0.1", port: "", path: "/metrics"}}
Dashboard: {{enable: false}}
"""
TRIES = 5


class Original:
    """One broker, with what the tests use of agent.Agent."""

    def __init__(self, settings=""):
        del settings                # ours only
        self.child, self.program = None, peers.original_broker()
        self.folder = Path(tempfile.mkdtemp(prefix="msf-interop-"))
        (self.folder / "config").mkdir()
        self.port = self.http = 0
        try:
            self.start()
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def start(self):
        for _ in range(TRIES):
            if not self.port:
                self.port, self.http = free_port(), free_port()
            (self.folder / "config/server.yaml").write_text(SETTINGS.format(nmid=self.port, http=self.http))
            self.said = self.folder / "original.out"
            with self.said.open("w") as out:
                self.child = subprocess.Popen([self.program], cwd=self.folder, stdin=subprocess.DEVNULL, stdout=out,
                                              stderr=subprocess.STDOUT)
            wait_for("the original broker", lambda: not self.alive() or (answers(self.port) and answers(self.http)))
            if self.alive():
                return
            self.port = 0
        raise AssertionError(f"the original broker does not start:\n{self.said.read_text()}")

    def stop(self, sign=signal.SIGTERM):
        self.child.send_signal(sign)
        return self.child.wait(PATIENCE)

    def alive(self):
        return self.child.poll() is None

    def close(self):
        if self.child:
            self.child.kill()
            self.child.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def answers(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def main():
    with Original() as broker:
        print(f"the original broker: nmid 127.0.0.1:{broker.port}, HTTP 127.0.0.1:{broker.http}", flush=True)
        try:
            broker.child.wait()
        except KeyboardInterrupt:
            pass


if __name__ == "__main__":
    main()
