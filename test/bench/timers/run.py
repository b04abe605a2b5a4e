#!/usr/bin/env python3
"""The timers of libmsf's event base against those of libuv and libevent, through the public interfaces of all three.

Builds one program per library (all do the same work, see work.h), runs them in turn, and compares the medians of the
ratios within a round; what is compared is processor time. The floor (floor.c) is no timers at all, only a caller who finds
his handle and notes a time. Then, for libmsf alone, what single passes of the loop
cost with a million timers running (tick.c). Exit status 1 when a goal is missed. Standard library only.
"""

import argparse
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent.parent
sys.path.insert(0, str(HERE.parent))

from rounds import Goal, Verdicts, interleaved, middle                  # noqa: E402

PROGRAMS = {"libmsf": ("msf.c", "-lmsf"), "libuv": ("libuv.c", "-luv"), "libevent": ("libevent.c", "-levent_core"),
            "floor": ("floor.c", "-lc")}
CASES = ("rearm", "cancel", "arm", "fire", "arm-random", "fire-random")
GOALS = [Goal("rearm", "libuv", "libmsf", least=10), Goal("cancel", "libuv", "libmsf", least=10),
         Goal("rearm", "libevent", "libmsf", least=10), Goal("cancel", "libevent", "libmsf", least=10),
         Goal("fire", "libuv", "libmsf", least=10), Goal("fire-random", "libuv", "libmsf"),
         Goal("fire", "libevent", "libmsf"), Goal("fire-random", "libevent", "libmsf"),
         Goal("arm", "libuv", "libmsf"), Goal("rearm", "libuv", "floor"), Goal("cancel", "libuv", "floor")]
LONGEST_PASS = 50       # microseconds, 99.9 of 100 passes


def build(name, source, library, into, options):
    program = Path(into, source.removesuffix(".c"))
    command = [os.environ.get("CC", "cc"), "-O2", "-Wall", "-Wextra", "-I", str(ROOT / "include"), str(HERE / source),
               "-o", str(program), "-L", options.lib, f"-Wl,-rpath,{Path(options.lib).resolve()}", library]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"cannot build {name} (is its library installed?):\n{done.stderr}")
    return program


def numbers(command):
    """What a program prints: a name and a number in each line."""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=600)
    if done.returncode != 0:
        print(f"{command[0]}: exit status {done.returncode}\n{done.stderr}")
        return None
    return {name: float(value) for name, value in (line.split() for line in done.stdout.splitlines())}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    stage = ROOT / "build" / f"{platform.machine()}-unknown-linux-gnu" / "lib"
    parser.add_argument("--lib", default=str(stage), help="folder that holds a release libmsf.so")
    parser.add_argument("--live", type=int, default=1000000, help="timers")
    parser.add_argument("--operations", type=int, default=2000000, help="cancellations, and new starts")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5, help="how long passes are looked at")
    options = parser.parse_args()

    verdicts = Verdicts()
    with tempfile.TemporaryDirectory() as into:
        programs = {name: build(name, *parts, into, options) for name, parts in PROGRAMS.items()}
        tick = build("tick", "tick.c", "-lmsf", into, options)

        def measure(name):
            return numbers([programs[name], options.live, options.operations])

        results = interleaved(list(PROGRAMS), measure, options.rounds)
        passes = numbers([tick, options.live, options.seconds])
    print(f"{options.live} timers, processor nanoseconds per operation:")
    for name in PROGRAMS:
        print(f"  {name:9}" + "".join(f"  {case} {middle(results, name, case) or 0:7.1f}" for case in CASES))
    verdicts.judge("timers", results, GOALS)
    if passes:
        print(f"a pass of the loop: p50 {passes['p50']:.1f}, p99.9 {passes['p999']:.1f}, longest {passes['max']:.1f} us")
    verdicts.note("timers", "p999 of a pass, us", f"{passes['p999']:.1f}" if passes else "none", f"<= {LONGEST_PASS}",
                  bool(passes) and passes["p999"] <= LONGEST_PASS)
    return verdicts.print()


if __name__ == "__main__":
    sys.exit(main())
