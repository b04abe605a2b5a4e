#!/usr/bin/env python3
"""How soon a crash that writes a core of 256 MiB is noticed, and how soon the successor runs, in a service that calls
msf_crash_notify() and in msf_shell with a plugin: the medians of many rounds. Exits with 1 when a goal is missed, and says so
when cores do not go to a process's folder here.
"""
import argparse
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
from rounds import Verdicts  # noqa: E402

SERVICE = """
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <msf_process.h>
static char *volatile memory;
int main(void)
{
    memory = malloc(256 << 20);
    memset(memory, 0x5a, 256 << 20);
    if (msf_crash_notify() != 0 || write(atoi(getenv("MSF_READY_FD")), "\\n", 1) != 1)
        return 1;
    for (;;)
        pause();
}
"""


PLUGIN = """
#include <stdlib.h>
#include <string.h>
#include <msf_svc.h>
static char *volatile memory;
__attribute__((constructor)) static void fill(void)
{
    memory = malloc(256 << 20);
    memset(memory, 0x5a, 256 << 20);
}
MSF_EXPORT extern const struct msf_svc_ops large_ops;
const struct msf_svc_ops large_ops = { .size = sizeof(struct msf_svc_ops), .abi = MSF_SVC_ABI, .version = "1" };
"""

# Milliseconds: who is ready so long before the core is written was not waiting for its end.
APART = 50


class Ward:
    """msf_daemon with the one process: the service, or the shell with the plugin."""

    def __init__(self, stage, shell):
        self.folder = Path(tempfile.mkdtemp(prefix="msf_bench_"))
        self.daemon = stage / "bin" / "msf_daemon"
        self.env = {**os.environ, "MSF_RUN_DIR": str(self.folder), "MSF_LOG_DIR": str(self.folder)}
        self.cores = self.folder / "cores"
        self.cores.mkdir()
        process = self.shell(stage) if shell else self.service(stage)
        entry = {"proc_idx": 0, "proc_name": "large", **process, "working_directory": str(self.cores),
                 "rlimits": {"core": "unlimited"}, "restart": {"immediate": 1000}}
        (self.folder / "d.json").write_text(json.dumps(
            {"msf_author": "a", "msf_version": "v", "msf_desc": "d", "msf_procs": [entry]}))
        self.child = subprocess.Popen([self.daemon, "-c", self.folder / "d.json"], env=self.env, stdout=subprocess.DEVNULL,
                                      stderr=subprocess.DEVNULL)

    def build(self, stage, text, name, *flags):
        source = self.folder / "large.c"
        source.write_text(text)
        subprocess.run([os.environ.get("CC", "gcc"), "-O1", f"-I{stage}/include", source, "-o", self.folder / name, *flags,
                        f"-L{stage}/lib", "-lmsf", f"-Wl,-rpath,{stage}/lib"], check=True)
        return str(self.folder / name)

    def service(self, stage):
        return {"proc_path": self.build(stage, SERVICE, "large"), "ready": {"by": "fd"}}

    def shell(self, stage):
        library = self.build(stage, PLUGIN, "liblarge.so", "-shared", "-fPIC")
        file = self.folder / "svc.json"
        file.write_text(json.dumps({
            "proc_name": "ward", "proc_author": "", "proc_version": "", "proc_desc": "", "version": 1,
            "proc_svcs": [{"svc_name": "large", "svc_libs": library}]}))
        return {"proc_path": str(stage / "bin" / "msf_shell"), "proc_conf": str(file), "ready": {"by": "notify"}}

    def events(self, to):
        file = self.folder / "msf_daemon.events.jsonl"
        lines = file.read_text().splitlines(keepends=True) if file.exists() else []
        events = [json.loads(line) for line in lines if line.endswith("\n")]
        return [event for event in events if event.get("to") == to]

    def wait(self, what, so, patience=180):
        deadline = time.monotonic() + patience
        while not (value := so()):
            if time.monotonic() > deadline:
                raise TimeoutError(f"in vain: {what}")
            time.sleep(0.001)
        return value

    def since(self, to, when):
        """The events from then on: who finds a lock of the dead one taken may try several times."""
        return [event for event in self.events(to) if datetime.fromisoformat(event["time"]).timestamp() >= when - 0.001]

    def round(self):
        """Milliseconds until it is noticed, until the successor is up, and until the core is written."""
        pid = self.wait("readiness", lambda: self.events("up"))[-1]["pid"]
        began = time.time()
        os.kill(pid, signal.SIGSEGV)
        died, up = (self.wait("news", lambda to=to: self.since(to, began))[0] for to in ("starting", "up"))
        self.wait("the core", lambda: not Path(f"/proc/{pid}").exists())
        dumped = time.time() - began
        for core in self.cores.iterdir():
            core.unlink()
        return [1000 * (datetime.fromisoformat(event["time"]).timestamp() - began) for event in (died, up)] + [1000 * dumped]

    def end(self):
        self.child.terminate()
        self.child.wait(60)
        shutil.rmtree(self.folder, ignore_errors=True)


def measure(verdicts, stage, rounds=20):
    """Its rows for the table."""
    pattern = Path("/proc/sys/kernel/core_pattern").read_text()
    if pattern.startswith(("|", "/")):
        return verdicts.note("crash", f"skipped: core_pattern is {pattern.strip()}", "-", "-", True)
    for who in ("a service", "msf_shell"):
        case = f"crash of {who}, core of 256 MiB"
        ward = Ward(stage, who == "msf_shell")
        try:
            times = [ward.round() for _ in range(rounds)]
        finally:
            ward.end()
        noticed, up, dumped = (statistics.median(values) for values in zip(*times))
        verdicts.note(case, "noticed after ms", f"{noticed:.1f}", "<= 5", noticed <= 5)
        early = sum(up < dumped - APART for _, up, dumped in times)
        verdicts.note(case, "successor ready after ms", f"{up:.1f}", "-", True)
        verdicts.note(case, "rounds with it ready while the core was written", f"{early} of {rounds}", "most", 2 * early > rounds)
        print(f"\n{case}: written after {dumped:.0f} ms; noticed in each round after "
              f"{[round(one[0], 1) for one in times]} ms", flush=True)
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--stage", type=Path, default=os.environ.get("MSF_STAGE"), required="MSF_STAGE" not in os.environ)
    parser.add_argument("--rounds", type=int, default=20)
    arguments = parser.parse_args()
    verdicts = Verdicts()
    measure(verdicts, arguments.stage.resolve(), arguments.rounds)
    return verdicts.print()


if __name__ == "__main__":
    sys.exit(main())
