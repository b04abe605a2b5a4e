#!/usr/bin/env python3
"""The kill matrix: everybody in a house is killed with -9 at random moments under load, and nobody may notice for long.

usage: kill_matrix.py --stage DIR [--kills N] [--clients N] [--seed N] [--busy] [--only VICTIM] [--pid1 reaps|ignores] [--logs DIR]

The house (matrix_house.py) is msf_daemon, who looks after msf_agent, msf_shell with its plugins, two services of librpc
and two workers of nmid. It lives in namespaces of its own, once under a process 1 that reaps and once under one that does
not. 64 callers (msf_matrix, soak_caller.c) of librpc, nmid and HTTP compare every answer. Each member is killed --kills
times, then several at once. Nothing may be wrong or hang, every call ends within 100 ms of a death, at least 99 % of the
calls outside a second after a kill are answered; a killed daemon's children keep their pids; descriptors and threads of
the others stay level; and when the house has been shut down nothing is left of it.

With --busy, for a short run on a machine that does other things, too, a call may end a second after a death, 90 % are
enough, and the kills come faster.
"""

import argparse
import fcntl
import json
import os
import random
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import matrix_house
from matrix_house import House, files_of, kill, name_of, parent_of, processes, state_of, threads_of, usage, wait_for

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
# From one kill to the next: what is outside a second after a kill has to be seen, too.
GAP, SHORT_GAP = (1.05, 1.8), (0.4, 0.8)
# For everybody to be back. Long, for it is the calls that are judged; the longest is told.
BACK = 60
VICTIMS = ("agent", "daemon", "shell", "apart", "worker")
LEVEL = 5
SIOCSIFFLAGS, IFF_UP = 0x8914, 1
# Whoever is not root is it in a user namespace, where he may have one.
UNSHARE = ["unshare", *([] if os.geteuid() == 0 else ["--map-root-user"]), "--pid", "--fork", "--kill-child", "--mount",
           "--mount-proc", "--net", "--ipc"]


@dataclass
class Programs:
    """What was built for this."""

    matrix: Path
    caller: Path
    service: Path
    plugin: Path


class Director:
    """Kills, and looks what becomes of it. Runs beside the house, as a child of process 1."""

    def __init__(self, house, options):
        self.house, self.options = house, options
        self.dice = random.Random(options.seed)
        self.troubles, self.load, self.slowest = [], None, {}

    def victims(self):
        return [name for name in VICTIMS if self.options.only in (None, name)]

    def direct(self):
        """The whole pass; 0 if everything was right."""
        wait_for(self.house.is_whole, 20, "everybody to be up")
        self.begin_load()
        time.sleep(1)
        began = time.monotonic()
        for victim in self.victims():
            # What a program makes when it first loses the agent, such as the thread that writes its log, it has from then on;
            # so does a daemon, who may be a new one by now, with the thread that writes its first crash report, and with the
            # one that buries the first of its own children: the agent is that only when it has been started by this one.
            self.kill_one("agent")
            self.kill_one("agent")
            self.levelly(victim, lambda victim=victim: self.killed_often(victim, self.options.kills))
        if self.options.only is None:
            for _ in range(max(1, self.options.kills // 4)):
                self.kill_together()
        wait_for(self.house.is_whole, BACK, "everybody to be up at the end")
        self.end_load(time.monotonic() - began)
        if (status := self.house.shutdown()) != 0:
            self.troubles.append(f"msf_daemon shutdown ended with {status}")
        self.look_for_leftovers()
        for trouble in self.troubles:
            print(f"soak matrix: {trouble}", flush=True)
        return 1 if self.troubles else 0

    def begin_load(self):
        house = self.house
        words = [house.programs.matrix, "--caller", house.programs.caller, "--nmid", f"127.0.0.1:{matrix_house.NMID}",
                 "--http", f"127.0.0.1:{matrix_house.HTTP}", "--services", ",".join(house.services), "--functions",
                 ",".join((matrix_house.FUNCTION, matrix_house.INSIDE_FUNCTION, matrix_house.APART_FUNCTION)), "--callers", self.options.clients, *self.demands()]
        self.load = subprocess.Popen([str(word) for word in words], env=house.env, cwd=house.folder, text=True,
                                     stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def demands(self):
        return ["--notice-ms", 1000, "--share", 90] if self.options.busy else []

    def end_load(self, seconds):
        said, _ = self.load.communicate(timeout=60)
        print(f"{said.strip()} in {seconds:.0f} s", flush=True)
        if self.load.returncode != 0:
            self.troubles.append(f"msf_matrix ended with {self.load.returncode}")

    def killed_often(self, victim, times):
        for _ in range(times):
            self.kill_one(victim)
        print(f"soak matrix: {victim}: {times} kills, back up after {self.slowest.get(victim, 0) * 1000:.0f} ms at most", flush=True)

    def targets(self, name):
        """Whom nobody answers for while this one is dead."""
        if name == "daemon":
            return ["none"]
        if name == "agent":
            return ["all"]
        if name in matrix_house.WORKERS:
            return [matrix_house.FUNCTION]
        apart = [matrix_house.APART, matrix_house.APART_FUNCTION]
        return apart if name == "apart" else [*apart, matrix_house.INSIDE, matrix_house.INSIDE_FUNCTION]

    def kill_one(self, victim):
        names = [victim]
        if victim == "worker":
            # One of them, the other, or both: then nobody offers the function for a while.
            names = self.dice.choice([[each] for each in matrix_house.WORKERS] + [list(matrix_house.WORKERS)])
        self.kill_and_see(victim, names, 0)

    def kill_together(self):
        """Several within a few milliseconds, so that some die while others are being made."""
        names = ["agent", "daemon", "shell", "apart", *matrix_house.WORKERS]
        self.kill_and_see("together", self.dice.sample(names, self.dice.randrange(2, 4)), 0.03)

    def kill_and_see(self, title, names, spread):
        before = wait_for(lambda: self.house.is_whole() and self.house.pids(), BACK, f"everybody to be up before {names} die")
        next_kill = time.monotonic() + self.dice.uniform(*(SHORT_GAP if self.options.busy else GAP))
        for name in names:
            at = time.monotonic_ns()
            try:
                kill(before[name])
            except ProcessLookupError:
                # It has ended with its shell already, and nobody else has an excuse.
                if (name, "shell" in names) != ("apart", True):
                    raise
            print(name if title == "together" else title, at, *self.targets(name), file=self.load.stdin, flush=True)
            time.sleep(self.dice.uniform(0, spread))
        began = time.monotonic()
        dead = set(names) | ({"apart"} if "shell" in names else set())

        def is_back():
            now = self.house.pids()
            return before.keys() <= now.keys() and all(now[name] != before[name] for name in names) and now

        now = wait_for(is_back, BACK, f"the successors of {names}")
        self.slowest[title] = max(self.slowest.get(title, 0), time.monotonic() - began)
        others = {name for name in before if name not in dead and now[name] != before[name]}
        if others:
            self.troubles.append(f"when {names} died, {', '.join(sorted(others))} did not keep their pids")
        if self.load.poll() is not None:
            raise RuntimeError(f"the load ended early with {self.load.returncode}")
        time.sleep(max(0, next_kill - time.monotonic()))

    def levelly(self, victim, work):
        """Whoever lives before and after has no more descriptors and threads afterwards."""
        before = {pid: usage(pid) for pid in processes() if pid != os.getpid()}
        work()
        now = lambda pid: usage(pid) or (0, 0)
        grown = lambda: {pid: (was, now(pid)) for pid, was in before.items() if was and any(a > b for a, b in zip(now(pid), was))}
        try:
            wait_for(lambda: not grown(), LEVEL, "level descriptors and threads")
        except RuntimeError:
            for pid, (was, is_now) in grown().items():
                self.troubles.append(f"{name_of(pid)}: {was[0]} descriptors and {was[1]} threads before the kills of {victim}, "
                                     f"{is_now[0]} and {is_now[1]} after: {threads_of(pid)}, {files_of(pid)}")

    def look_for_leftovers(self):
        def left():
            """Orphans of a process 1 that does not reap stay; a zombie of anybody else is one that he has forgotten."""
            others = [pid for pid in processes() if pid not in (1, os.getpid())]
            return [pid for pid in others if state_of(pid) != "Z" or self.options.pid1 == "reaps" or parent_of(pid) != 1]

        try:
            wait_for(lambda: not left(), 5, "everybody's end")
        except RuntimeError:
            self.troubles += [f"process {pid} ({name_of(pid)}, {state_of(pid)}) is left, of {parent_of(pid)}" for pid in left()]
        bound = [line.split()[7] for line in Path("/proc/net/unix").read_text().splitlines()[1:] if len(line.split()) > 7]
        left = [path for path in self.house.run.rglob("*") if path.is_socket() or path.suffix in (".pid", ".lock")]
        left += [*Path("/dev/shm").iterdir(), *Path("/proc/sysvipc/shm").read_text().splitlines()[1:], *bound]
        self.troubles += [f"{each} is left" for each in left]
        print(f"soak matrix: in the run folder at the end: {sorted(path.name for path in self.house.run.rglob('*'))}", flush=True)


def load_generators():
    """The folder where they are. A program that only makes load need not be linked as one that is shipped."""
    subprocess.run(["cargo", "build", "--quiet", "--release", "--config", "profile.release.lto=false",
                    "--config", "profile.release.codegen-units=16", "--package", "msf-test", "--bins"], cwd=ROOT, check=True)
    return ROOT / os.environ.get("CARGO_TARGET_DIR", "target") / "release"


def build(stage, folder):
    """The programs that only this test needs."""
    flags = ["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", f"-I{stage}/include", f"-L{stage}/lib", f"-Wl,-rpath,{stage}/lib"]
    for source, name, more in (("soak_caller.c", "soak_caller", []), ("soak_service.c", "soak_service", []),
                               ("soak_plugin.c", "soak_plugin.so", ["-shared", "-fPIC", "-Wl,-z,defs"])):
        subprocess.run([os.environ.get("CC", "gcc"), *flags, *more, str(HERE / source), "-o", str(folder / name), "-lipc", "-lmsf",
                        "-lpthread"], check=True)
    return Programs(load_generators() / "msf_matrix", folder / "soak_caller", folder / "soak_service", folder / "soak_plugin.so")


def inside(options, programs):
    """In the new namespaces, as process 1."""
    with socket.socket() as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP))
    with tempfile.TemporaryDirectory(prefix="msf-matrix-") as folder:
        house = House(options.stage, Path(folder), programs)
        house.furnish()
        # A run folder lies in memory, as /run does: on a disk that has to do, a start can wait a second for its pid file.
        # So do the logs here: a process that is killed while it waits for a disk dies when the disk has answered, not before.
        for place in ("/dev/shm", house.run, house.log):
            subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=0700", "tmpfs", place], check=True)
        status = matrix_house.first_process(options.pid1 == "reaps", house, Director(house, options).direct)
        if options.logs:
            shutil.copytree(house.log, options.logs / options.pid1, dirs_exist_ok=True)
        subprocess.run(["umount", "--lazy", house.run, house.log], check=True)
    return status


def run_pass(programs, options, pid1):
    """Whether everything was right; says what was not."""
    title = {"reaps": "a process 1 that reaps", "ignores": "a process 1 that does not reap"}[pid1]
    print(f"soak matrix, {options.kills} kills of each, {options.clients} callers, under {title}", flush=True)
    words = [*UNSHARE, sys.executable, __file__, "--stage", options.stage, "--kills", options.kills, "--pid1", pid1,
             "--clients", options.clients, "--seed", options.seed, "--inside", json.dumps({name: str(path) for name, path in vars(programs).items()})]
    words += ["--busy"] * options.busy + (["--only", options.only] if options.only else [])
    words += ["--logs", options.logs] if options.logs else []
    return subprocess.run([str(word) for word in words], check=False).returncode == 0


def passes(stage, kills, clients=64, busy=False, seed=1, only=None, pid1=None, logs=None):
    """Yields whether each pass was in order."""
    if subprocess.run([*UNSHARE, "true"], check=False).returncode != 0:
        print("soak matrix: LEFT OUT: there are no namespaces to be had here", flush=True)
        return
    options = argparse.Namespace(stage=stage, kills=kills, clients=clients, busy=busy, seed=seed, only=only, logs=logs)
    with tempfile.TemporaryDirectory(prefix="msf-matrix-") as folder:
        programs = build(stage, Path(folder))
        for kind in ("reaps", "ignores"):
            if pid1 in (None, kind):
                yield run_pass(programs, options, kind)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stage", required=True, type=Path)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--busy", action="store_true")
    parser.add_argument("--only", choices=VICTIMS)
    parser.add_argument("--pid1", choices=("reaps", "ignores"))
    parser.add_argument("--logs", type=Path, help="where the house's logs are kept")
    parser.add_argument("--inside", help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.stage = options.stage.resolve()
    if options.inside:
        programs = Programs(**{name: Path(path) for name, path in json.loads(options.inside).items()})
        return inside(options, programs)
    results = list(passes(options.stage, options.kills, options.clients, options.busy, options.seed, options.only, options.pid1,
                          options.logs))
    print(f"{sum(results)} passed, {len(results) - sum(results)} failed")
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
