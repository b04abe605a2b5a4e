"""A service that tells of its crash has a successor while the kernel still writes its core of 256 MiB."""

import json
import os
import signal
import time
import unittest
from datetime import datetime
from pathlib import Path

from house import HERE, gone, program, wait_for
from test_daemon_attacks import DaemonCase

LARGE = r"""
#include <msf_process.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(void)
{
    char *memory = malloc(256 << 20);

    memset(memory, 0x5a, 256 << 20);
    if (!getenv("SILENT") && msf_crash_notify() != 0)
        return 1;
    if (write(atoi(getenv("MSF_READY_FD")), "\n", 1) != 1)
        return 2;
    for (;;)
        pause();
}
"""
ROUNDS = 3


class Crash(DaemonCase):
    LONG = True

    def events(self, name, to):
        text = (self.house.log / "msf_daemon.events.jsonl").read_text()
        lines = [json.loads(line) for line in text.splitlines()]
        return [line for line in lines if line["name"] == name and line.get("to") == to]

    def build(self):
        source, binary = self.house.folder / "large.c", self.house.folder / "large"
        source.write_text(LARGE)
        return self.house.compile(source, binary, f"-Wl,-rpath,{program('').parent / 'lib'}")

    def setUp(self):
        super().setUp()
        pattern = Path("/proc/sys/kernel/core_pattern").read_text()
        if pattern.startswith(("|", "/")):
            self.skipTest(f"core_pattern is {pattern.strip()}: cores do not go to the process's folder")
        self.cores = self.house.folder / "cores"
        self.cores.mkdir()

    def large(self, **changes):
        return self.command("large", str(self.build()), ready={"by": "fd"}, working_directory=str(self.cores),
                            rlimits={"core": "unlimited"}, restart={"immediate": 1000}, **changes)

    def test_one_that_does_not_tell_is_found_writing_its_core_when_it_is_looked_at(self):
        looked_at = {"sample_ms": 10, "rss_bytes": {"warn": 1 << 40}}
        self.configure(self.large(env={"SILENT": "1"}, limits=looked_at))
        daemon = self.start()

        def found():
            """That it is looked at in time is no promise."""
            wait_for("its readiness", lambda: self.status("large")["state"] == "up", 60)
            pid = self.status("large")["pid"]
            os.kill(pid, signal.SIGSEGV)
            wait_for("a successor", lambda: self.status("large")["pid"] not in (None, pid))
            at_it = not gone(pid)
            wait_for("the end of the core", lambda: gone(pid), 60)
            return at_it and f"pid {pid} is crashing: its core is being written" in self.log()

        wait_for("one that is found", found, 60)
        report = wait_for("its report", lambda: sorted((self.house.log / "crash").glob("large-*.txt")))[-1].read_text()
        self.assertIn("ended: SIGSEGV (core dumped)", report)
        self.assertGreater(max(core.stat().st_size for core in self.cores.iterdir()), 256 << 20)
        self.ends(daemon)

    def test_a_crash_is_noticed_before_its_core_is_written(self):
        self.configure(self.large())
        daemon = self.start()
        noticed, dumped = [], []
        for _ in range(ROUNDS):
            wait_for("its readiness", lambda: self.status("large")["state"] == "up", 60)
            pid, before = self.status("large")["pid"], len(self.events("large", "starting"))
            began = time.time()
            os.kill(pid, signal.SIGSEGV)
            died = wait_for("the news", lambda: self.events("large", "starting")[before:])[0]
            # Its own successor runs; what is left of it still writes.
            self.assertFalse(gone(pid))
            self.assertEqual((died["pid"], died["signal"]), (pid, signal.SIGSEGV))
            noticed.append(datetime.fromisoformat(died["time"]).timestamp() - began)
            wait_for("a successor", lambda: self.status("large")["pid"] not in (None, pid))
            wait_for("the end of the core", lambda: gone(pid), 60)
            dumped.append(time.time() - began)
            for core in self.cores.iterdir():
                self.assertGreater(core.stat().st_size, 256 << 20)
                core.unlink()
        # Noticed while the core is written, however busy the machine is; test/bench/daemon/crash.py says how soon.
        self.assertLess(sorted(noticed)[ROUNDS // 2], min(dumped) / 2, (noticed, dumped))
        print(f"noticed after {[f'{1000 * one:.1f}' for one in noticed]} ms, dumped after {[f'{1000 * one:.0f}' for one in dumped]} ms")
        reports = wait_for("the reports", lambda: (found := sorted((self.house.log / "crash").glob("large-*.txt"))) and len(found) == ROUNDS and found)
        text = reports[0].read_text()
        for part in ("ended: SIGSEGV (core dumped)", "fault at: 0x", "libc.so", "KiB at most", "core: "):
            self.assertIn(part, text)
        self.ends(daemon)

    def test_regress_msf_shell_tells_that_it_crashes(self):
        self.house.compile(HERE / "sick_plugin.c", self.house.folder / "libsick.so", "-shared", "-fPIC")
        config = self.house.folder / "svc.json"
        config.write_text(json.dumps({"proc_name": "ward", "proc_author": "", "proc_version": "", "proc_desc": "", "version": 1,
                                      "proc_svcs": [{"svc_name": "sick", "svc_libs": "libsick.so"}]}))
        self.configure(self.command("shell", str(program("msf_shell")), proc_conf=str(config), ready={"by": "notify"}))
        daemon = self.start()
        wait_for("the shell", lambda: self.status("shell")["state"] == "up")
        pid = self.status("shell")["pid"]
        os.kill(pid, signal.SIGSEGV)
        wait_for("its own word", lambda: f"shell: pid {pid} is crashing: SIGSEGV" in self.log())
        wait_for("a successor", lambda: self.status("shell")["state"] == "up" and self.status("shell")["pid"] != pid)
        self.ends(daemon)


if __name__ == "__main__":
    unittest.main()
