#!/usr/bin/env python3
"""The cross-thread post benchmark: msf_loop_post against libuv's uv_async_send.

Builds one program per library (both do the same work, see post.h) and runs them in turn:
  pingpong   a message from one thread's loop to another's and back, as libuv's benchmark async1 does: one message at a time
  stream     one thread sends numbered messages to another's loop; each has to be delivered, in order. uv_async_send
             delivers nothing, so beside it stands the queue under a mutex that its users write. The floor is a bare
             ring of two threads. Only to be looked at: what it costs to hand a line of memory from one processor to
             another decides, and a busy machine has both threads on one.
Wall time, medians over the rounds of the ratio within a round. Standard library only.
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

from rounds import Goal, Verdicts, interleaved, middle                       # noqa: E402

PROGRAMS = {"libmsf": ("msf.c", "-lmsf"), "libuv": ("libuv.c", "-luv"), "ring": ("ring.c", "-lpthread")}
CASES = {"pingpong": ("libmsf", "libuv"), "stream": ("libmsf", "libuv", "ring")}


def build(source, library, into, options):
    program = os.path.join(into, source.removesuffix(".c"))
    command = [os.environ.get("CC", "cc"), "-O2", "-Wall", "-Wextra", "-I", str(ROOT / "include"), str(HERE / source), "-o",
               program, "-L", options.lib, f"-Wl,-rpath,{os.path.abspath(options.lib)}", library, "-lpthread"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"cannot build {source}:\n{done.stderr}")
    return program


def measure(program, case, count):
    wall, cpu = subprocess.run([program, case, str(count)], check=True, capture_output=True, text=True).stdout.split()
    return {"rate": 1e9 / float(wall), "wall_ns": float(wall), "cpu_ns": float(cpu)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    stage = ROOT / "build" / f"{platform.machine()}-unknown-linux-gnu" / "lib"
    parser.add_argument("--lib", default=str(stage), help="folder that holds a release libmsf.so")
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--trips", type=int, default=50_000, help="round trips of a run")
    parser.add_argument("--messages", type=int, default=1_000_000, help="of a stream")
    options = parser.parse_args()
    verdicts = Verdicts()
    with tempfile.TemporaryDirectory() as into:
        programs = {name: build(source, library, into, options) for name, (source, library) in PROGRAMS.items()}
        for case, count in (("pingpong", options.trips), ("stream", options.messages)):
            results = interleaved(list(CASES[case]), lambda name: measure(programs[name], case, count), options.rounds)
            for name in CASES[case]:
                print(f"{case:9} {name:7} {middle(results, name, 'rate'):10.0f}/s   {middle(results, name, 'wall_ns'):8.1f} ns, "
                      f"{middle(results, name, 'cpu_ns'):8.1f} ns of processor time each", flush=True)
            least = 3.0 if case == "pingpong" else None
            goals = [Goal("rate", "libmsf", other, least=least) for other in CASES[case] if other != "libmsf"]
            verdicts.judge(f"post {case}", results, goals)
    return verdicts.print()


if __name__ == "__main__":
    sys.exit(main())
