#!/usr/bin/env python3
"""The chain-of-sockets benchmark: libmsf's event base and its peers against bare epoll.

Builds one program per loop (all do the same work, see chain.h), runs each of them in pairs with bare epoll (ours, bare,
bare, ours, twice: a drift of the machine hits both) and prints the median of the pair ratios. The verdict is on processor
time: these loops never sleep, so it equals wall time on an idle machine and still means something on a busy one. Then
strace counts the system calls of libmsf and of bare epoll. A peer whose library is not installed is left out.
Standard library only.
"""

import argparse
import collections
import json
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(HERE)))
sys.path.insert(0, os.path.dirname(HERE))

from rounds import Verdicts                                             # noqa: E402

PEERS = {"libmsf": ("msf.c", "-lmsf"), "libevent": ("libevent.c", "-levent_core"), "libuv": ("libuv.c", "-luv"),
         "libev": ("libev.c", "-lev")}


def build(source, libraries, into, options):
    """Compiles one program; None when its library is not there."""
    program = os.path.join(into, source.removesuffix(".c"))
    command = [os.environ.get("CC", "cc"), "-O2", "-Wall", "-Wextra", "-I", os.path.join(ROOT, "include"),
               os.path.join(HERE, source), "-o", program, "-L", options.lib, f"-Wl,-rpath,{os.path.abspath(options.lib)}"]
    done = subprocess.run(command + libraries, capture_output=True, text=True)
    if done.returncode == 0:
        return program
    if source in ("epoll.c", "msf.c"):
        sys.exit(f"cannot build {source}:\n{done.stderr}")
    print(f"{source}: not built, is its library installed? ({done.stderr.strip().splitlines()[-1]})")
    return None


def work(options, rounds):
    return ["-n", str(options.pairs), "-a", str(options.active), "-w", str(options.writes), "-r", str(rounds)]


def measure(program, options):
    """(wall, processor) nanoseconds per event."""
    command = [program] + work(options, options.rounds)
    if options.cpu is not None:
        command = ["taskset", "-c", str(options.cpu)] + command
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    wall, cpu = out.split()
    return float(wall), float(cpu)


def mean(runs):
    """(wall, processor) of several."""
    return [statistics.fmean(clock) for clock in zip(*runs)]


def compare(name, program, bare, turns, options):
    """Runs the pairs and prints one line. A run's luck with its memory is worth more than the difference we look for,
    so one side of a pair is the mean of several runs, in turns with the other's."""
    ours, theirs = [], []
    for _ in range(options.repeat):
        runs = [[measure(path, options) for path in (program, bare, bare, program)] for _ in range(turns)]
        ours.append(mean([run for first, _, _, last in runs for run in (first, last)]))
        theirs.append(mean([run for _, first, last, _ in runs for run in (first, last)]))
    ratios = [[own[clock] / other[clock] for own, other in zip(ours, theirs)] for clock in (0, 1)]
    result = {"wall_ns": statistics.median(wall for wall, _ in ours), "bare_wall_ns": statistics.median(w for w, _ in theirs),
              "wall_ratio": statistics.median(ratios[0]), "cpu_ratio": statistics.median(ratios[1])}
    print(f"{name:10} {result['wall_ns']:9.1f} ns/event   bare {result['bare_wall_ns']:9.1f}   "
          f"ratio wall {result['wall_ratio']:.3f}   ratio cpu {result['cpu_ratio']:.3f}", flush=True)
    return result


def system_calls(program, options, rounds):
    with tempfile.NamedTemporaryFile("r") as table:
        subprocess.run(["strace", "-f", "-c", "-o", table.name, program] + work(options, rounds), check=True,
                       capture_output=True)
        counts = collections.Counter()
        for line in table:
            row = re.match(r"\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?(\w+)$", line)
            if row and row[2] != "total":
                counts[row[2]] += int(row[1])
        return counts


def compare_system_calls(program, bare, options):
    """What one more round costs, so that starting and stopping the program cancel out. True when equal per event."""
    if not shutil.which("strace"):
        print("strace is not installed: system calls were not counted")
        return None
    few, many = 1, 4
    per_event = {}
    events = (options.writes + options.active) * (many - few)
    for name, path in (("libmsf", program), ("bare", bare)):
        extra = system_calls(path, options, many) - system_calls(path, options, few)
        per_event[name] = sum(extra.values()) / events
        print(f"{name:10} {per_event[name]:.5f} system calls/event   " +
              "  ".join(f"{call} {count}" for call, count in sorted(extra.items())))
    return abs(per_event["libmsf"] - per_event["bare"]) < 0.0005


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    stage = os.path.join(ROOT, "build", f"{platform.machine()}-unknown-linux-gnu", "lib")
    parser.add_argument("--lib", default=stage, help="folder that holds a release libmsf.so")
    parser.add_argument("--pairs", type=int, default=1000)
    parser.add_argument("--active", type=int, default=100)
    parser.add_argument("--writes", type=int, default=25000, help="per round")
    parser.add_argument("--rounds", type=int, default=3, help="per run of a program")
    parser.add_argument("--repeat", type=int, default=15, help="pairs of runs")
    parser.add_argument("--turns", type=int, default=2, help="a pair is this often ours, bare, bare, ours; once for the peers")
    parser.add_argument("--cpu", type=int, help="pin every program to this processor")
    parser.add_argument("--only", nargs="*", choices=PEERS, help="these peers instead of all")
    parser.add_argument("--limit", type=float, default=1.05, help="libmsf may take so many times bare epoll's processor time")
    parser.add_argument("--json", help="write the results to this file")
    options = parser.parse_args()

    with tempfile.TemporaryDirectory() as into:
        bare = build("epoll.c", [], into, options)
        results = {}
        programs = {name: build(source, [flag], into, options) for name, (source, flag) in PEERS.items()
                    if name == "libmsf" or not options.only or name in options.only}
        for name, program in programs.items():
            if program:
                results[name] = compare(name, program, bare, options.turns if name == "libmsf" else 1, options)
        equal = compare_system_calls(programs["libmsf"], bare, options)
    if options.json:
        with open(options.json, "w", encoding="utf-8") as out:
            json.dump({"loops": results, "system_calls_equal": equal}, out, indent=2)
    verdicts = Verdicts()
    case = f"chain of {options.pairs} sockets, {options.active} active"
    for name, result in results.items():
        ratio, ours = result["cpu_ratio"], name == "libmsf"
        verdicts.note(case, f"processor time {name} / bare epoll", f"{ratio:.3f}", f"<= {options.limit}" if ours else "-",
                      not ours or ratio <= options.limit)
    verdicts.note(case, "system calls per event, libmsf and bare epoll",
                  {True: "equal", False: "not equal", None: "not counted"}[equal], "equal", equal is not False)
    return verdicts.print()


if __name__ == "__main__":
    sys.exit(main())
