#!/usr/bin/env python3
"""libmsf's memory pool against mimalloc and the C library's malloc: nanoseconds for a block taken and given back.

    run.py --stage DIR [--rounds 7] [--milliseconds 100] [--quick]

Two faces of the pool are measured, both through the C ABI: `cache` is msf_memcache_get/put (a cache the thread holds, used
inline), `pool` is msf_mempool_get/put (nothing but the pool). The goals are for `cache`, and for what threads
free for each other; `pool` is there to be looked at. Every round runs every allocator once. Standard library only.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent.parent
sys.path.insert(0, str(HERE.parent))

from rounds import Goal, Verdicts, interleaved, middle         # noqa: E402

PROGRAMS = {"cache": ["-lmsf"], "pool": ["-lmsf"], "mimalloc": ["-lmimalloc"], "glibc": []}
PAIR = [Goal("ns", "cache", "mimalloc", below=0.6), Goal("ns", "cache", "glibc"), Goal("ns", "pool", "mimalloc")]
CROSS = [Goal("ns", "cache", "mimalloc", below=1.0), Goal("ns", "pool", "mimalloc", below=1.0), Goal("ns", "cache", "glibc")]
# kind, threads, bytes, goals
CASES = [
    ("pair", 1, 64, PAIR), ("pair", 2, 64, PAIR), ("pair", 1, 1024, PAIR), ("pair", 2, 1024, PAIR),
    ("batch", 1, 1024, PAIR), ("batch", 2, 1024, PAIR),
    ("touch", 1, 1024, PAIR), ("touch", 2, 1024, PAIR),
    ("cross", 1, 256, CROSS), ("cross", 1, 1024, CROSS),
]
WORDS = {
    "pair": "take one, give it back", "batch": "take 1024, give 1024 back", "touch": "the same, each block written to",
    "cross": "one thread takes, another gives back, 32 at a time",
}


def main():
    options = arguments()
    verdicts = Verdicts()
    with tempfile.TemporaryDirectory(prefix="mempool-") as folder:
        programs = {name: build(name, Path(folder), options.stage) for name in PROGRAMS}
        names = [name for name, program in programs.items() if program]
        print(f"mimalloc {version('libmimalloc2.0')}, glibc {version('libc6')}; {options.rounds} rounds\n")
        for kind, threads, size, goals in CASES:
            def measure(name):
                return run(programs[name], kind, threads, size, options.milliseconds)

            results = interleaved(names, measure, options.rounds)
            case = f"{kind} {size} B, {threads} thread{'s' * (threads > 1)}"
            show(case, WORDS[kind], names, results)
            verdicts.judge(case, results, [goal for goal in goals if goal.theirs in names])
    print()
    return verdicts.print()


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stage", default=os.environ.get("MSF_STAGE"), help="the tree build.py made (or MSF_STAGE)")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--milliseconds", type=int, default=100)
    parser.add_argument("--quick", action="store_true", help="5 short rounds, to see that it works")
    options = parser.parse_args()
    if not options.stage:
        parser.error("no --stage DIR and no MSF_STAGE")
    if options.quick:
        options.rounds, options.milliseconds = 5, 20
    return options


def build(name, folder, stage):
    """Compiles one program; None when a peer's library is not there."""
    program, lib = folder / name, Path(stage).resolve() / "lib"
    done = subprocess.run([os.environ.get("CC", "cc"), "-O2", "-Wall", "-Wextra", "-Werror", f"-I{ROOT / 'include'}",
                           HERE / f"{name}.c", "-o", program, f"-L{lib}", f"-Wl,-rpath,{lib}", *PROGRAMS[name], "-lpthread"],
                          capture_output=True, text=True)
    if done.returncode == 0:
        return program
    if name != "mimalloc":
        sys.exit(f"cannot build {name}.c:\n{done.stderr}")
    print(f"mimalloc: not built, is libmimalloc-dev installed? ({done.stderr.strip().splitlines()[-1]})")
    return None


def run(program, kind, threads, size, milliseconds):
    done = subprocess.run([program, kind, str(threads), str(size), str(milliseconds)], capture_output=True, text=True)
    if done.returncode != 0:
        print(f"{program.name} {kind}: exit status {done.returncode} {done.stderr.strip()}", file=sys.stderr)
        return None
    return {"ns": float(done.stdout)}


def show(case, words, names, results):
    print(f"{case}: {words}")
    for name in names:
        values = [result["ns"] for result in results[name] if result]
        spread = f"{min(values):8.1f} .. {max(values):.1f}" if values else ""
        print(f"  {name:10} {middle(results, name, 'ns') or float('nan'):8.1f} ns   {spread}", flush=True)


def version(package):
    done = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", package], capture_output=True, text=True)
    return done.stdout or "of unknown version"


if __name__ == "__main__":
    sys.exit(main())
