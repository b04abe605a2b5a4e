#!/usr/bin/env python3
"""Builds every Rust test of the workspace and runs the test programs several at once, where `cargo test` runs one after the
other. Most of them wait most of the time.

usage: cargo_tests.py [--build] [--jobs N] [PATTERN...]

    --build   builds only
    --jobs N  how many programs at once; one more than there are processors by default
    PATTERN   only the programs that have one of these in package/program

Each program's output is printed as one block when it ends. The tests in the documentation are one more program.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LIMIT = 300         # seconds a program may take
# Begun first, or everybody waits for them in the end.
LONG = ("msf-core/msf_core", "documentation", "msf-agent/msf_agent", "msf-conf/mutation", "msf-agent/nmid_workers", "msf-daemon/limits")


@dataclass
class Program:
    name: str
    command: list
    folder: Path

    def run(self):
        """Whether its tests are in order, how long they took, and what was said."""
        began = time.monotonic()
        env = {**os.environ, "CARGO_MANIFEST_DIR": str(self.folder)}
        try:
            done = subprocess.run(self.command, cwd=self.folder, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, timeout=LIMIT, check=False)
            fine, said = done.returncode == 0, done.stdout
        except subprocess.TimeoutExpired as late:
            fine, said = False, (late.stdout or b"") + f"\n{self.name} has not ended after {LIMIT} s\n".encode()
        return fine, time.monotonic() - began, said.decode(errors="replace")


def build():
    """The test programs, as cargo tells of them."""
    command = ["cargo", "test", "--workspace", "--no-run", "--message-format", "json-render-diagnostics"]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        sys.exit(done.returncode)
    found = []
    for line in done.stdout.splitlines():
        told = json.loads(line)
        if told["reason"] == "compiler-artifact" and told["profile"]["test"] and told["executable"]:
            folder = Path(told["manifest_path"]).parent
            package = told["package_id"].rpartition("#")[2].partition("@")[0]
            package = package if not package[0].isdigit() else folder.name
            found.append(Program(f"{package}/{told['target']['name']}", [told["executable"]], folder))
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", action="store_true")
    parser.add_argument("--jobs", type=int, default=1 + len(os.sched_getaffinity(0)))
    parser.add_argument("pattern", nargs="*")
    options = parser.parse_args()
    programs = build()
    if options.build:
        return 0
    programs.append(Program("documentation", ["cargo", "test", "--workspace", "--doc"], ROOT))
    programs = [one for one in programs if not options.pattern or any(pattern in one.name for pattern in options.pattern)]
    programs.sort(key=lambda one: one.name not in LONG)
    broken = {}
    with ThreadPoolExecutor(options.jobs) as pool:
        running = {pool.submit(one.run): one.name for one in programs}
        for ended in as_completed(running):
            fine, took, said = ended.result()
            block = f"=== {running[ended]}, {took:.1f} s\n{said}"
            if fine:
                print(block, flush=True)
            else:
                broken[running[ended]] = block
    # Last, where they are looked for.
    for block in broken.values():
        print(block)
    print(f"{len(programs)} programs" + (f"; failed: {', '.join(sorted(broken))}" if broken else ", all in order"))
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
