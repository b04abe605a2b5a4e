#!/usr/bin/env python3
"""msf_daemon beside s6 and runit: how soon a killed service is back, and a thousand services.

Restart: twenty services that only say when they began; a random one is killed with SIGKILL, again and again; counted is the time
from the kill to the first thing its successor does (its own clock, the machine's monotonic one). Three cases: services
that have lived for more than a second (s6 and runit wait a second with others), services that died young (ours alone is
meant to be quick there; the others' second is shown), and services with another user, limits and an affinity.

A thousand: from the start of the supervisor until each has said that it runs; from killing all until all are back, with
none lost; how long the supervisor that was killed with SIGKILL and started again takes until it answers, with nobody restarted; how
often it wakes up then, idle; and whether all are stopped in order.

And, where there is a stage tree (MSF_STAGE): how soon a crash that writes a large core is noticed (crash.py), and how soon after a
death the first call is answered (answer.py).

Needs Debian's s6 and runit. Rounds are interleaved; the ratio is the median of the rounds'. Exits with 1 when a goal is missed.
"""
import argparse
import json
import math
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
import answer  # noqa: E402
import crash  # noqa: E402
from rounds import Verdicts  # noqa: E402

NAMES = ("msf_daemon", "s6", "runit")
# A service that is younger makes s6 and runit wait for a second.
OLD_ENOUGH = 1.3


def now():
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC)


def until(what, so, patience=60):
    deadline = time.monotonic() + patience
    while not (value := so()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"in vain: {what}")
        time.sleep(0.0005)
    return value


class Supervisor:
    """One of the three, with services in a folder of its own."""

    def __init__(self, count, extras=False):
        self.folder = Path(tempfile.mkdtemp(prefix="msf_bench_"))
        self.folder.chmod(0o777)
        self.count, self.extras = count, extras
        self.names = [f"s{index}" for index in range(count)]
        self.started = None
        self.write()

    def file(self, name):
        return self.folder / f"{name}.ticks"

    def script(self, name, fd):
        """The run script of s6 and runit; what each has to change a process with stands in its own class."""
        words = [*(self.prefix() if self.extras else []), TICK, self.file(name), fd]
        return "#!/bin/sh\nexec " + " ".join(map(str, words)) + "\n"

    def start(self):
        self.child = subprocess.Popen(self.command(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                      stdin=subprocess.DEVNULL, env=self.environment(), start_new_session=True)

    def environment(self):
        return dict(os.environ)

    def lines(self, name):
        """(nanoseconds, pid) of every life so far."""
        try:
            text = self.file(name).read_text()
        except FileNotFoundError:
            return []
        return [tuple(map(int, line.split())) for line in text.splitlines() if line.count(" ") == 1]

    def wait_for_all(self, lives):
        for name in self.names:
            until(f"{name} is there", lambda name=name: len(self.lines(name)) >= lives)

    def last(self):
        return [self.lines(name)[-1] for name in self.names]

    def stop(self):
        self.end()
        pids = {pid for name in self.names for _, pid in self.lines(name)}
        for pid in pids:
            try:
                if Path(f"/proc/{pid}/cmdline").read_bytes().startswith(bytes(TICK)):
                    os.kill(pid, signal.SIGKILL)
            except OSError:
                pass
        shutil.rmtree(self.folder, ignore_errors=True)

    def end(self):
        self.child.terminate()
        try:
            self.child.wait(60)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()

    def memory(self):
        """PSS of the supervisor's own processes, in bytes."""
        return pss(self.child.pid) + sum(pss(pid) for pid in children(self.child.pid) if not is_tick(pid))


class Ours(Supervisor):
    def write(self):
        process = {"proc_path": str(TICK)}
        defaults = {"restart": {"immediate": 1000, "refill_ms": 1}, "ready": {"by": "fd"}}
        if self.extras:
            defaults |= {"user": "nobody", "rlimits": {"nofile": 512, "core": 0}, "cpu_affinity": [0]}
        entries = [{"proc_idx": index, "proc_name": name, **process, "args": [str(self.file(name)), "3"],
                    # Named, so that they are stopped together.
                    **({"after": ["s0"]} if index else {})} for index, name in enumerate(self.names)]
        document = {"msf_author": "bench", "msf_version": "1", "msf_desc": "bench", "defaults": defaults, "msf_procs": entries}
        (self.folder / "d.json").write_text(json.dumps(document))

    def command(self):
        return [DAEMON, "-c", self.folder / "d.json"]

    def environment(self):
        return {**os.environ, "MSF_RUN_DIR": str(self.folder / "run"), "MSF_LOG_DIR": str(self.folder / "log")}

    def status(self):
        done = subprocess.run([DAEMON, "status", "--json"], env=self.environment(), capture_output=True, check=False)
        return json.loads(done.stdout) if done.returncode == 0 else None


class S6(Supervisor):
    def write(self):
        for name in self.names:
            folder = self.folder / "scan" / name
            folder.mkdir(parents=True)
            (folder / "run").write_text(self.script(name, 3))
            (folder / "run").chmod(0o755)
            (folder / "notification-fd").write_text("3\n")

    def prefix(self):
        return ["s6-setuidgid", "nobody", "s6-softlimit", "-o", 512, "-c", 0, "taskset", "-c", 0]

    def command(self):
        return ["s6-svscan", "-c", "2000", self.folder / "scan"]

    def end(self):
        subprocess.run(["s6-svscanctl", "-t", self.folder / "scan"], check=False)
        self.child.wait(60)


class Runit(Supervisor):
    def write(self):
        for name in self.names:
            folder = self.folder / "scan" / name
            folder.mkdir(parents=True)
            (folder / "run").write_text(self.script(name, -1))
            (folder / "run").chmod(0o755)

    def prefix(self):
        return ["chpst", "-u", "nobody", "-o", 512, "-c", 0, "taskset", "-c", 0]

    def command(self):
        return ["runsvdir", "-P", self.folder / "scan"]

    def end(self):
        self.child.send_signal(signal.SIGHUP)
        self.child.wait(60)


KINDS = {"msf_daemon": Ours, "s6": S6, "runit": Runit}


def children(pid):
    try:
        return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def is_tick(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().startswith(bytes(TICK))
    except OSError:
        return True


def pss(pid):
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0


def restart(name, samples, young, extras):
    """Milliseconds from kill to successor."""
    supervisor = KINDS[name](20, extras)
    supervisor.start()
    latencies = []
    try:
        supervisor.wait_for_all(1)
        time.sleep(0 if young else OLD_ENOUGH)
        order = supervisor.names * (1 + samples // len(supervisor.names))
        random.shuffle(order)
        for service in order[:samples]:
            born, pid = supervisor.lines(service)[-1]
            if not young:
                time.sleep(max(0, OLD_ENOUGH - (now() - born) / 1e9))
            lives = len(supervisor.lines(service))
            killed = now()
            os.kill(pid, signal.SIGKILL)
            until(f"{service} is back", lambda: len(supervisor.lines(service)) > lives)
            latencies.append((supervisor.lines(service)[lives][0] - killed) / 1e6)
    finally:
        supervisor.stop()
    return latencies


def thousand(name, count):
    """Milliseconds of cold start and of coming back, lost exits, and for ours of adoption."""
    supervisor = KINDS[name](count)
    result = {}
    try:
        begun = now()
        supervisor.start()
        supervisor.wait_for_all(1)
        result["start_ms"] = (max(born for born, _ in supervisor.last()) - begun) / 1e6
        result["pss"] = supervisor.memory()
        time.sleep(OLD_ENOUGH)
        before = supervisor.last()
        killed = now()
        for _, pid in before:
            os.kill(pid, signal.SIGKILL)
        supervisor.wait_for_all(2)
        result["back_ms"] = (max(born for born, _ in supervisor.last()) - killed) / 1e6
        if name == "msf_daemon":
            result |= adoption(supervisor)
            result |= ending(supervisor)
    finally:
        supervisor.stop()
    return result


def adoption(supervisor):
    lives = [len(supervisor.lines(name)) for name in supervisor.names]
    pids = [pid for _, pid in supervisor.last()]
    until("all are up", lambda: {one["state"] for one in supervisor.status()["processes"]} == {"up"})
    supervisor.child.kill()
    supervisor.child.wait()
    begun = now()
    supervisor.start()
    until("the daemon answers", supervisor.status)
    answered = (now() - begun) / 1e6
    processes = supervisor.status()["processes"]
    same = sum(process["pid"] == pid for process, pid in zip(processes, pids))
    again = [len(supervisor.lines(name)) for name in supervisor.names]
    return {"adopt_ms": answered, "adopted": same, "restarted": sum(again) - sum(lives)}


def ending(supervisor):
    """How often it wakes up when nothing happens, and how many stop behind the one they come after."""
    woken = switches(supervisor.child.pid)
    time.sleep(5)
    woken = switches(supervisor.child.pid) - woken
    supervisor.end()
    down = {}
    for file in (supervisor.folder / "log").glob("msf_daemon.events.jsonl*"):
        events = map(json.loads, file.read_text().splitlines())
        down |= {event["name"]: event["seq"] for event in events if event.get("to") == "down"}
    first = supervisor.names[0]
    behind = [name for name in supervisor.names[1:] if name not in down or down[name] > down.get(first, 0)]
    return {"wake_ups": woken / 5, "unordered": len(behind)}


def switches(pid):
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    return sum(int(line.split()[1]) for line in status if line.startswith("voluntary_ctxt_switches"))


def default_daemon():
    """The staged one when build.py runs us, else cargo's."""
    stage = os.environ.get("MSF_STAGE")
    return Path(stage, "bin/msf_daemon") if stage else HERE.parents[2] / "target/release/msf_daemon"


def show(case, results):
    print(f"\n{case}: milliseconds")
    for name, values in results.items():
        if values:
            ordered = sorted(values)
            p99 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
            print(f"  {name:12} median {statistics.median(values):9.2f}   p99 {p99:9.2f}   ({len(values)} samples)", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--daemon", type=Path, default=default_daemon())
    parser.add_argument("--samples", type=int, default=200)
    parser.add_argument("--services", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    global DAEMON, TICK
    DAEMON = arguments.daemon.resolve()
    names = [name for name in NAMES if name == "msf_daemon" or shutil.which({"s6": "s6-svscan", "runit": "runsvdir"}[name])]
    with tempfile.TemporaryDirectory(prefix="msf_tick_") as folder:
        Path(folder).chmod(0o755)
        TICK = Path(folder) / "tick"
        subprocess.run([os.environ.get("CC", "gcc"), "-O2", "-static", "-o", TICK, HERE / "tick.c"], check=True)
        return measure(arguments, names)


def measure(arguments, names):
    verdicts, figures = Verdicts(), {}

    def judge(case, what, value, most):
        verdicts.note(case, what, f"{value:.2f}", f"<= {most}", value <= most)

    cases = {"restart": (False, False), "restart, died young": (True, False)}
    if os.geteuid() == 0:
        cases["restart with user, limits and affinity"] = (False, True)
    for case, (young, extras) in cases.items():
        results = {name: [] for name in names}
        for _ in range(arguments.rounds):
            for name in names:
                # The others take a second for each of these.
                samples = math.ceil(arguments.samples / arguments.rounds)
                samples = min(samples, 10) if young and name != "msf_daemon" else samples
                results[name] += restart(name, samples, young, extras)
        show(case, results)
        figures[case] = {name: statistics.median(values) for name, values in results.items()}
        others = [value for name, value in figures[case].items() if name != "msf_daemon"]
        if others:
            judge(case, "msf_daemon / the faster of s6 and runit", figures[case]["msf_daemon"] / min(others), 0.5)
    results = {name: [] for name in names}
    for _ in range(arguments.rounds):
        for name in names:
            results[name].append(thousand(name, arguments.services))
    middle = {name: {key: statistics.median(one[key] for one in rounds) for key in rounds[0]} for name, rounds in results.items()}
    print(f"\n{arguments.services} services: medians")
    for name, values in middle.items():
        print(f"  {name:12} " + "  ".join(f"{key} {value:.1f}" for key, value in values.items()))
    figures["thousand"], ours = middle, middle["msf_daemon"]
    if "s6" in middle:
        judge("1000 services", "cold start, msf_daemon / s6", ours["start_ms"] / middle["s6"]["start_ms"], 0.6)
    judge("1000 services", "wake-ups a second, idle", ours["wake_ups"], 0)
    judge("1000 services", "stopped behind whom they come after", ours["unordered"], 0)
    judge("1000 services", "PSS of msf_daemon, MiB", ours["pss"] / 2**20, 6)
    judge("1000 services", "adoption, ms", ours["adopt_ms"], 100)
    judge("1000 services", "restarted by adoption", ours["restarted"] + arguments.services - ours["adopted"], 0)
    if stage := os.environ.get("MSF_STAGE"):
        crash.measure(verdicts, Path(stage).resolve())
        answer.measure(verdicts, Path(stage).resolve())
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1))
    print()
    return verdicts.print()


if __name__ == "__main__":
    sys.exit(main())
