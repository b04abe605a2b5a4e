#!/usr/bin/env python3
"""The ring in shared memory against iceoryx2, and against what the machine can do at all.

Two processes play ping-pong; what is compared is nanoseconds one way (half a round trip), the median over batches of 100.
Every round runs everybody once, in turn; ratios are taken within a round, and their median is judged.

  looking all the time   each side on a processor of its own, as iceoryx2's benchmarks do: 128 bytes copied in and out;
                         8 KiB and 1 MiB handed over (ours: a block, theirs: a loaned sample; 8 bytes of it are written and
                         read). Floor: a flag both sides watch.
  asleep                 both sides wait; pinned to one processor, and unpinned. Floor: a bare futex.
  idle                   processor time of one who waits for a second.

usage: run.py [--stage DIR] [--rounds N] [--batches N]
"""

import argparse
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from rounds import Goal, Verdicts, interleaved, middle  # noqa: E402

PEER = "iceoryx2 0.10.0"
SIZES = {"128 B": 128, "8 KiB": 8192, "1 MiB": 1 << 20}
IDLE_MS = 1000


def built(stage, folder):
    """The command that begins each program."""
    programs = {}
    for name in ("msf", "floor"):
        programs[name] = folder / name
        subprocess.run([os.environ.get("CC", "cc"), "-O2", "-Wall", "-Wextra", "-Werror", f"-I{stage / 'include'}",
                        HERE / f"{name}.c", "-o", programs[name], f"-L{stage / 'lib'}", f"-Wl,-rpath,{stage / 'lib'}",
                        "-lmsf"], check=True)
    subprocess.run(["cargo", "build", "--quiet", "--release", "--locked"], cwd=HERE / "iceoryx2", check=True)
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", HERE / "iceoryx2/target"))
    programs["peer"] = target / "release/msf-bench-iceoryx2"
    return programs


def one_way(command):
    """{"ns": …}, or None when it did not get through."""
    try:
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=120)
        return {"ns": float(done.stdout)}
    except (subprocess.TimeoutExpired, ValueError):
        return None


def compared(title, commands, rounds):
    results = interleaved(list(commands), lambda name: one_way(commands[name]), rounds)
    line = "   ".join(f"{name} {middle(results, name, 'ns') or float('nan'):.0f}" for name in commands)
    print(f"{title}: {line} ns one way", flush=True)
    return results


def looking(programs, options, verdicts):
    cpus = options.cpus
    for title, size in SIZES.items():
        ours = [programs["msf"], "copy" if size == 128 else "block", size, options.batches, *cpus]
        commands = {"libmsf": ours}
        for kind, name in (("pubsub", "iceoryx2 pub-sub"), ("reqres", "iceoryx2 req-res")):
            commands[name] = [programs["peer"], kind, size, options.batches, *cpus]
        commands["flag"] = [programs["floor"], "spin", options.batches, *cpus]
        results = compared(f"looking, {title}", commands, options.rounds)
        # "no worse" leaves the measurement's own noise a hundredth.
        below = 0.6 if size == 128 else 1.01
        verdicts.judge(title, results, [Goal("ns", "libmsf", name, below=below) for name in list(commands)[1:3]])
        verdicts.judge(title, results, [Goal("ns", "libmsf", "flag")])


def asleep(programs, options, verdicts):
    batches = max(options.batches // 5, 10)
    for title, cpus in (("one processor", options.cpus[:1] * 2), ("unpinned", [])):
        commands = {"libmsf": [programs["msf"], "wait", 128, batches, *cpus],
                    "futex": [programs["floor"], "futex", batches, *cpus]}
        results = compared(f"asleep, {title}", commands, options.rounds)
        verdicts.judge(f"asleep, {title}", results, [Goal("ns", "libmsf", "futex", below=1.1)])


def idle(programs, options, verdicts):
    shares = []
    for _ in range(options.rounds):
        done = subprocess.run([programs["msf"], "idle", str(IDLE_MS)], capture_output=True, text=True, check=True)
        used, passed = map(float, done.stdout.split())
        shares.append(100 * used / passed)
    share = statistics.median(shares)
    print(f"idle: {share:.3f} % of a processor", flush=True)
    verdicts.note("idle", "processor time of a wait", f"{share:.3f} %", "< 0.5 %", share < 0.5)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stage", default=os.environ.get("MSF_STAGE"), type=pathlib.Path, help="the tree build.py made")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--batches", type=int, default=1000, help="of 100 round trips, in each round")
    options = parser.parse_args()
    if not options.stage:
        parser.error("no --stage DIR and no MSF_STAGE: which tree is to be measured?")
    options.cpus = sorted(os.sched_getaffinity(0))[:2]
    if len(options.cpus) < 2:
        print("one processor only: two sides that look all the time need two")
        return 1
    verdicts = Verdicts()
    print(f"peer: {PEER}; processors {options.cpus}", flush=True)
    with tempfile.TemporaryDirectory(prefix="msf-shm-") as folder:
        programs = built(options.stage.resolve(), pathlib.Path(folder))
        looking(programs, options, verdicts)
        asleep(programs, options, verdicts)
        idle(programs, options, verdicts)
    return verdicts.print()


if __name__ == "__main__":
    sys.exit(main())
