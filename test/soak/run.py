#!/usr/bin/env python3
"""The soak test: many callers, every answer compared, plain and with those who answer killed.

usage: run.py --stage DIR [--build] [--seconds N] [--clients N] [--payload BYTES] [--only librpc|nmid|upgrade|plugins|shm|log|health|conf|matrix]

Builds the load generators (the package msf-test) and the C service and runs all passes against the staged agent: two
with librpc's services, then nmid's (nmid.py), then both while the agent is replaced again and again (upgrade.py). Then
plugins are loaded, called and unloaded 10,000 times, one in C and one in Rust, and upgraded 1,000 times under calls, in the
shell's process and in one of their own (test/system/test_shell_cycles.py and test_shell_upgrade.py). Then the ring in
shared memory: 10^8 messages, its sides killed at random (shm_torture.c), and a process that logs, killed at random 500
times (lib/core/tests/log_killed.rs). Then ten minutes in which msf_daemon looks after healthy processes and may not complain
(daemon/tests/limits.rs). Then a million broken configurations of each kind (lib/conf/tests/mutation.rs), of which some that
were accepted are given to the programs. The kill matrix kills everybody in a house 200 times under load (kill_matrix.py),
which takes an hour and wants namespaces. With --seconds N only a few of those, each for N seconds, and two kills of each;
and those whose promises are not in milliseconds go two at once. Ends with a line
`N passed, N failed`.
"""

import argparse
import os
import pathlib
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

import kill_matrix
import nmid
import upgrade

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
SHM_MESSAGES = 100_000_000
NMID_PAYLOAD = 2000                 # some tasks above one segment, most far below


def build(stage, folder, name):
    program = pathlib.Path(folder) / name
    subprocess.run([os.environ.get("CC", "gcc"), "-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror",
                    f"-I{stage}/include", str(HERE / f"{name}.c"), "-o", str(program),
                    f"-L{stage}/lib", "-lipc", "-lmsf", "-lpthread", f"-Wl,-rpath,{stage}/lib"], check=True)
    return program


def librpc_passes(stage, options):
    """Yields whether each pass was in order."""
    load = kill_matrix.load_generators() / "msf_soak"
    seconds = options.seconds or 30
    with tempfile.TemporaryDirectory(prefix="msf-soak-") as folder:
        service = build(stage, folder, "soak_service")
        common = [str(load), "--agent", str(stage / "bin" / "msf_agent"), "--service", str(service),
                  "--seconds", str(seconds), "--clients", str(options.clients), "--payload", str(options.payload)]
        for title, extra in (("plain", []), ("a service killed every second", ["--kill-every", "1000"])):
            print(f"soak, {title}: {options.clients} callers, {seconds} s", flush=True)
            yield subprocess.run(common + extra, check=False, timeout=seconds + 60).returncode == 0


def nmid_passes(stage, options):
    """Yields whether each pass was in order."""
    load = kill_matrix.load_generators() / "msf_nmid_soak"
    seconds = options.seconds or 60
    for each in nmid.passes(brief=options.seconds is not None):
        print(f"soak nmid, {each}, {seconds} s", flush=True)
        yield nmid.run_pass(load, stage, each, seconds, NMID_PAYLOAD)


def upgrade_pass(stage, options):
    """Yields whether nothing was lost while the agent was replaced."""
    load, nmid_load = (kill_matrix.load_generators() / name for name in ("msf_soak", "msf_nmid_soak"))
    seconds, times = (12, 10) if options.seconds else (600, 100)
    print(f"soak upgrade, {times} times in {seconds} s", flush=True)
    with tempfile.TemporaryDirectory(prefix="msf-soak-") as folder:
        service = build(stage, folder, "soak_service")
        yield upgrade.run_pass(upgrade.Loads(load, nmid_load, service), stage, seconds, times)


def plugins_passes(stage, options):
    """Yields whether plugins have left nothing behind, and whether their upgrades have lost nothing."""
    profile, cycles, upgrades = ("dev", 200, 30) if options.seconds else ("release", 10_000, 1_000)
    print(f"soak plugins, {cycles} cycles of each, {upgrades} upgrades of each", flush=True)
    env = {**os.environ, "MSF_STAGE": str(stage), "MSF_PLUGIN_PROFILE": profile, "MSF_CYCLES": str(cycles),
           "MSF_UPGRADES": str(upgrades)}
    for file, case in (("test_shell_cycles.py", "Cycles"), ("test_shell_upgrade.py", "UnderCalls")):
        command = [sys.executable, "-m", "unittest", "discover", "-s", "test/system", "-p", file, "-k", case]
        yield subprocess.run(command, cwd=ROOT, check=False, env=env).returncode == 0


def shm_passes(stage, options):
    """Yields whether each pass was in order."""
    seconds = (options.seconds or 0) / 2
    with tempfile.TemporaryDirectory(prefix="msf-soak-") as folder:
        torture = build(stage, folder, "shm_torture")
        for seed, wake in enumerate(("futex", "eventfd")):
            print(f"soak shm, woken by {wake}: {f'{seconds} s' if seconds else f'{SHM_MESSAGES} messages'}", flush=True)
            command = [str(torture), str(SHM_MESSAGES), str(seconds), str(seed), wake]
            yield subprocess.run(command, check=False, timeout=3600).returncode == 0


def log_passes(_stage, options):
    """Yields whether each record of processes that were killed is in the log once."""
    kills = "50" if options.seconds else "500"
    print(f"soak log, killed {kills} times", flush=True)
    command = ["cargo", "test", "--quiet", "--package", "msf-core", "--test", "log_killed"]
    yield subprocess.run(command, cwd=ROOT, check=False, env={**os.environ, "MSF_LOG_KILLS": kills}).returncode == 0


def health_pass(_stage, options):
    """Yields whether nothing is said of processes that are well."""
    seconds = str(options.seconds or 600)
    print(f"soak health, {seconds} s of normal load", flush=True)
    command = ["cargo", "test", "--quiet", "--package", "msf-daemon", "--test", "limits", "normal_load"]
    yield subprocess.run(command, cwd=ROOT, check=False, env={**os.environ, "MSF_SOAK_SECONDS": seconds}).returncode == 0


def conf_pass(stage, options):
    """Yields whether no broken configuration breaks a reader, and what a reader accepts the program accepts, but for what is wrong
    with it on this machine, of which it names file and key."""
    many = "2000" if options.seconds else "1000000"
    print(f"soak conf, {many} of each kind", flush=True)
    command = ["cargo", "test", "--quiet", "--package", "msf-conf", "--test", "mutation", "_breaks_", "--", "--nocapture"]
    with tempfile.TemporaryDirectory(prefix="msf-soak-") as folder:
        env = {**os.environ, "MSF_MUTATIONS": many, "MSF_SAMPLES": folder}
        if subprocess.run(command, cwd=ROOT, check=False, env=env).returncode != 0:
            yield False
            return
        samples = sorted(pathlib.Path(folder).iterdir())
        refused, wrong = 0, 0
        for sample in samples:
            program = f"msf_{sample.stem.rpartition('-')[2]}"
            done = subprocess.run([str(stage / "bin" / program), "-k", "parse", "-c", str(sample)], check=False,
                                  stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, timeout=10)
            if done.returncode == 0:
                continue
            refused += 1
            is_clear = re.fullmatch(rf"{program}: {re.escape(str(sample))}: [^ ]+: .*\n", done.stderr)
            if done.returncode != 1 or not is_clear:
                wrong += 1
                print(f"{program} -k parse: {done.returncode}: {done.stderr.strip()}", flush=True)
        print(f"soak conf: of {len(samples)} accepted files the programs refuse {refused}, {wrong} of them badly", flush=True)
        yield wrong == 0 and len(samples) > 100 and refused < len(samples) / 20


def matrix_passes(stage, options):
    """Yields whether each pass was in order."""
    if options.seconds:
        return kill_matrix.passes(stage, kills=2, clients=16, busy=True)
    return kill_matrix.passes(stage, kills=200, clients=options.clients)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stage", required=True, type=pathlib.Path)
    parser.add_argument("--seconds", type=int)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--payload", type=int, default=64 * 1024)
    parser.add_argument("--only", choices=PASSES)
    parser.add_argument("--build", action="store_true", help="builds the load generators only")
    options = parser.parse_args()
    if options.build:
        kill_matrix.load_generators()
        return 0
    stage = options.stage.resolve()
    if options.only:
        results = list(PASSES[options.only](stage, options))
        passed, failed = sum(results), len(results) - sum(results)
    else:
        passed, failed = all_passes(options)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


def all_passes(options):
    """How many were in order, and how many not; each kind is a run of this script, with its output in one block."""
    def run(name):
        command = [sys.executable, __file__, *sys.argv[1:], "--only", name]
        done = subprocess.run(command, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        *said, last = done.stdout.splitlines() or [""]
        counts = re.fullmatch(r"(\d+) passed, (\d+) failed", last)
        print("\n".join(said if counts else [*said, last]), flush=True)
        return (int(counts[1]), int(counts[2])) if counts else (0, 1)

    kill_matrix.load_generators()
    # The tests of plugins are system tests, which have just as many cycles where nobody asks for more.
    left_out = (*ALONE, "plugins") if options.seconds else ALONE
    with ThreadPoolExecutor(2 if options.seconds else 1) as pool:
        counts = [run(name) for name in ALONE] + list(pool.map(run, [name for name in PASSES if name not in left_out]))
    return sum(passed for passed, _ in counts), sum(failed for _, failed in counts)


# In this order.
PASSES = {"librpc": librpc_passes, "nmid": nmid_passes, "matrix": matrix_passes, "plugins": plugins_passes,
          "shm": shm_passes, "log": log_passes, "health": health_pass, "conf": conf_pass, "upgrade": upgrade_pass}
ALONE = ("librpc", "nmid", "matrix")


if __name__ == "__main__":
    sys.exit(main())
