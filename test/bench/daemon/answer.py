#!/usr/bin/env python3
"""From a death to the first answered call: msf_daemon, msf_agent, a service of libipc, and somebody who calls it all the time.

The service, and then the agent, are killed with SIGKILL, again and again; counted is the time from the kill to the first answer of
the successor (of the service: it answers with its pid; of the agent: the first answer after calls that failed). Needs a stage
tree. The goal is a median below 50 ms each; exits with 1 when it is missed.
"""
import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
from rounds import Verdicts  # noqa: E402

GOAL = 50.0
SOUND = 1.1


def until(what, so, patience=30):
    deadline = time.monotonic() + patience
    while not (value := so()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"in vain: {what}")
        time.sleep(0.001)
    return value


class House:
    """The three of them, in a folder of their own."""

    def __init__(self, folder, stage):
        self.folder, self.stage = Path(folder), stage
        for name in ("run", "log"):
            (self.folder / name).mkdir(mode=0o700)
        self.env = {**os.environ, "MSF_RUN_DIR": str(self.folder / "run"), "MSF_LOG_DIR": str(self.folder / "log"),
                    "LD_LIBRARY_PATH": str(stage / "lib")}
        self.binary = self.folder / "answer"
        subprocess.run([os.environ.get("CC", "gcc"), "-O2", "-I", stage / "include", HERE / "answer.c", "-o", self.binary,
                        "-L", stage / "lib", "-lipc", "-lmsf", "-pthread"], check=True)
        agent = {"proc_idx": 0, "proc_name": "broker", "proc_path": str(stage / "bin/msf_agent"), "ready": {"by": "fd"},
                 "proc_conf": str(self.folder / "agent.conf"), "stdout": "null"}
        service = {"proc_idx": 1, "proc_name": "service", "proc_path": str(self.binary), "ready": {"by": "fd"},
                   "requires": ["broker"]}
        (self.folder / "agent.conf").write_text("net_enable=false\nmax_threads=2\n")
        self.file = self.folder / "d.json"
        self.file.write_text(json.dumps({
            "msf_author": "a", "msf_version": "v", "msf_desc": "d", "msf_procs": [agent, service],
            # The bucket is raised for the test: it is not the law that is measured.
            "restart": {"immediate": 1000, "refill_ms": 10}}))

    def __enter__(self):
        self.daemon = subprocess.Popen([self.stage / "bin/msf_daemon", "-c", self.file], env=self.env, stdout=subprocess.DEVNULL)
        until("an answer", lambda: self.ask("status").returncode == 0)
        assert self.ask("wait", "broker", "service", "--ready").returncode == 0
        self.caller = subprocess.Popen([self.binary, "watch"], env=self.env, stdout=subprocess.PIPE, text=True)
        self.answer()
        return self

    def __exit__(self, *_):
        self.caller.kill()
        self.ask("shutdown")
        self.daemon.wait()

    def ask(self, *words):
        return subprocess.run([self.stage / "bin/msf_daemon", *words], env=self.env, check=False, capture_output=True, text=True)

    def pid(self, name):
        return json.loads(self.ask("status", name, "--json").stdout)["processes"][0]["pid"]

    def answer(self):
        at, pid = self.caller.stdout.readline().split()
        return int(at), int(pid)

    def kill(self, name):
        """Milliseconds from the kill to the first answer."""
        pid = self.pid(name)
        begun = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        os.kill(pid, signal.SIGKILL)
        # What was answered before is of the one before.
        while (at := self.answer()[0]) <= begun:
            pass
        assert self.ask("wait", "broker", "service", "--ready").returncode == 0
        # libipc waits longer and longer for an agent with which its connections do not last.
        time.sleep(SOUND if name == "broker" else 0.05)
        return (at - begun) / 1e6


def measure(verdicts, stage, samples=50):
    """Its rows for the table."""
    print("\nfrom death to the first answered call:")
    with tempfile.TemporaryDirectory(prefix="msf_answer_") as folder, House(folder, stage) as house:
        for name in ("service", "broker"):
            times = sorted(house.kill(name) for _ in range(samples))
            median = statistics.median(times)
            verdicts.note(f"{name} killed", "first answered call after ms", f"{median:.1f}", f"< {GOAL:.0f}", median < GOAL)
            print(f"  {name:8} median {median:.1f} ms, 95 % within {times[int(samples * 0.95)]:.1f} ms, "
                  f"longest {times[-1]:.1f} ms, of {samples}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stage", type=Path, default=os.environ.get("MSF_STAGE"), required="MSF_STAGE" not in os.environ)
    parser.add_argument("--samples", type=int, default=50)
    arguments = parser.parse_args()
    verdicts = Verdicts()
    measure(verdicts, arguments.stage.resolve(), arguments.samples)
    return verdicts.print()


if __name__ == "__main__":
    sys.exit(main())
