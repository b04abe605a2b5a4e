#!/usr/bin/env python3
"""What a line of three arguments costs its caller: libmsf's log, spdlog synchronous, flexi_logger direct.

Each writes the same number of lines to a file in a folder of its own, in turns, with 1 and with 4 threads: in one burst
and paced (20 lines, 2 ms pause; see work.h). Every line of every run is counted afterwards. libmsf runs as it is unless
somebody changes it: rings of 64 KiB per thread, nothing dropped. The peers are built here: spdlog from Debian's package,
flexi_logger of the version that flexi/Cargo.toml names. The floor (floor.c) formats the line and writes nothing. Standard
library only.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
sys.path.insert(0, str(HERE.parent))

from rounds import Goal, Verdicts, interleaved, middle                  # noqa: E402

GOALS = [Goal("ns", "libmsf", "spdlog", below=0.7), Goal("ns", "libmsf", "flexi_logger", below=0.2),
         Goal("ns", "libmsf", "floor")]


def build(into, lib):
    """{name: program}; what cannot be built ends the run, for then nothing could be compared."""
    link = ["-I", str(ROOT / "include"), "-L", str(lib), f"-Wl,-rpath,{lib}", "-lmsf", "-lpthread"]
    cc = [os.environ.get("CC", "cc"), "-O2", "-Wall", "-Wextra"]
    run([*cc, str(HERE / "msf.c"), "-o", f"{into}/msf", *link])
    run([*cc, str(HERE / "floor.c"), "-o", f"{into}/floor", "-lpthread"])
    spdlog = ["-DSPDLOG_COMPILED_LIB", "-DSPDLOG_FMT_EXTERNAL", "-lspdlog", "-lfmt", "-lpthread"]
    run([os.environ.get("CXX", "c++"), "-O2", "-Wall", "-Wextra", str(HERE / "spdlog.cpp"), "-o", f"{into}/spdlog", *spdlog])
    target = os.environ.get("MSF_BENCH_TARGET", f"{into}/flexi-target")
    run(["cargo", "build", "-q", "--release", "--locked", "--manifest-path", str(HERE / "flexi/Cargo.toml"),
         "--target-dir", target])
    return {"libmsf": f"{into}/msf", "spdlog": f"{into}/spdlog", "flexi_logger": f"{target}/release/bench-flexi",
            "floor": f"{into}/floor"}


def run(command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stderr}")
    return done.stdout


def measure(program, threads, records, how):
    """One run: its figures, and how many lines its log lacks."""
    folder = tempfile.mkdtemp(prefix="msf-bench-log-")
    try:
        path = f"{folder}/x.log"
        result = json.loads(run([program, path, str(threads), str(records), how]))
        with open(path, "rb") as file:
            lines = sum(line.count(b"\n") for line in iter(lambda: file.read(1 << 20), b""))
        result["lost"] = result["records"] - lines
        return result
    finally:
        shutil.rmtree(folder)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lib", type=Path, default=Path(os.environ.get("MSF_STAGE", ROOT / "build")) / "lib",
                        help="the folder with libmsf.so (or MSF_STAGE, the tree build.py made)")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--records", type=int, default=1_000_000, help="lines of a burst")
    parser.add_argument("--paced", type=int, default=8_000, help="lines of a paced run")
    options = parser.parse_args()
    verdicts = Verdicts()
    with tempfile.TemporaryDirectory() as into:
        programs = build(into, options.lib.resolve())
        for how, records in (("burst", options.records), ("paced", options.paced)):
            for threads in (1, 4):
                case = f"{how}, {threads} thread{'s' * (threads > 1)}"
                results = interleaved(list(programs), lambda name: measure(programs[name], threads, records, how), options.rounds)
                print(f"\n{case}: {records} lines")
                for name in programs:
                    print(f"  {name:14} {middle(results, name, 'ns'):9.1f} ns/call", flush=True)
                verdicts.judge(case, results, GOALS)
                lost = sum(result["lost"] for result in results["libmsf"])
                verdicts.note(case, "lines lost by libmsf", str(lost), "0", lost == 0)
    print()
    return verdicts.print()


if __name__ == "__main__":
    sys.exit(main())
