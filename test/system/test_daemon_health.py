"""A plugin that is ill, in msf_shell under msf_daemon: it is reported within two checks, something is done, and its
recovery is told."""

import json
import socket
import time
import unittest
from datetime import datetime

from house import HERE, program, wait_for
from test_daemon_attacks import DaemonCase

SAMPLE = 0.4                        # seconds from one look to the next
SLACK = 2                           # for a machine that others use as well
MIB = 1 << 20


class Health(DaemonCase):
    ALONE = "its bounds are in tenths of a second"

    def setUp(self):
        super().setUp()
        self.house.compile(HERE / "sick_plugin.c", self.house.folder / "libsick.so", "-shared", "-fPIC")

    def shell(self, limits=None, health=None, services=None, **changes):
        """msf_shell with the plugin, up under the daemon."""
        config = self.house.folder / "svc.json"
        service = {"svc_name": "sick", "svc_libs": "libsick.so", **(services or {})}
        config.write_text(json.dumps({"proc_name": "ward", "proc_author": "", "proc_version": "", "proc_desc": "",
                                      "proc_svcs": [service], "version": 1, **changes}))
        process = self.command("shell", str(program("msf_shell")), proc_conf=str(config), ready={"by": "notify"},
                               health=health or {"by": "none"}, stop_timeout_ms=2000)
        if limits:
            process["limits"] = {"sample_ms": int(SAMPLE * 1000), **limits}
        self.configure(process)
        daemon = self.start()
        wait_for("the shell", lambda: self.status("shell")["state"] == "up")
        return daemon

    def order(self, command, number=""):
        """One command to the plugin; when that was."""
        began = time.time()
        with socket.socket(socket.AF_UNIX) as peer:
            peer.settimeout(10)
            peer.connect(str(self.house.run / "msf_shell.ward.sock"))
            request = {"verb": "call", "service": "sick", "command": command, "text": str(number),
                       "timeout_ms": 100 if command in ("freeze", "hang") else 5000}
            peer.sendall((json.dumps(request) + "\n").encode())
            if command not in ("freeze", "hang"):
                self.assertEqual(json.loads(peer.makefile().readline())["code"], 0)
        return began

    def alarms(self, kind):
        """What was told of that kind: (when, state, text)."""
        text = self.house.text("msf_daemon.events.jsonl")
        lines = [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]
        return [(datetime.fromisoformat(line["time"]).timestamp(), line["state"], line["cause"])
                for line in lines if line["event"] == "alarm" and line["alarm"] == kind]

    def told(self, kind, state, within, since, known=(), says=""):
        """The alarm that says so, which has come in time."""
        def found():
            return [one for one in self.alarms(kind)[len(known):] if one[1] == state and says in one[2]]
        when, _, text = wait_for(f"{kind} {state}", found)[0]
        self.assertLess(when - since, within + SLACK, text)
        return text

    def treated(self, kind, within, since):
        """It is told and acted upon in time, and its recovery is told."""
        before = self.pid
        # On a busy machine it may have been seen on its way, and warned of.
        self.told(kind, "raised", within, since, says="stopped and started again")
        after = wait_for("its successor", lambda: (row := self.status("shell"))["state"] == "up" and row["pid"])
        self.assertNotEqual(after, before)
        self.told(kind, "recovered", 60, since)
        self.assertEqual(self.status("shell")["restarts"], 1)

    @property
    def pid(self):
        return self.status("shell")["pid"]

    def test_memory_that_leaks(self):
        daemon = self.shell({"rss_bytes": {"warn": 64 * MIB, "act": 96 * MIB, "do": "restart"}})
        self.order("memory", 1)
        time.sleep(2 * SAMPLE)
        self.assertEqual(self.alarms("memory"), [])
        since = self.order("memory", 120)
        self.treated("memory", 2 * SAMPLE, since)
        self.ends(daemon)

    def test_descriptors_that_leak(self):
        daemon = self.shell({"fds": {"act": 200, "do": "restart"}})
        since = self.order("fds", 300)
        self.treated("files", 2 * SAMPLE, since)
        self.ends(daemon)

    def test_a_heart_that_stops(self):
        daemon = self.shell(health={"by": "heartbeat", "interval_ms": 500})
        since = self.order("freeze")
        self.treated("heartbeat", 2 * 0.5, since)
        self.ends(daemon)

    def named(self, *illnesses, within=0.6, **service):
        """Each is reported by the service's name, and the service alone is restarted."""
        limits = {"threads": 20, "cpu_percent": 15, "pool_bytes": MIB, "do": "restart"}
        daemon = self.shell(services={"limits": limits, "stop_timeout_ms": 300, **service}, check_ms=200)
        before = self.pid
        for command, number, said in illnesses:
            known = self.alarms("inside")
            since = self.order(command, number)
            self.assertTrue(self.told("inside", "raised", within, since, known).startswith(f"sick {said}"), said)
            self.told("inside", "recovered", 60, since, known)
            row = self.status("shell")
            self.assertEqual((row["pid"], row["restarts"], row["status"]), (before, 0, None))
        log = self.house.text("msf_shell.ward.log")
        for line in (f"service sick {said}", "service sick is restarted", "service sick is well again"):
            self.assertIn(line, log)
        self.order("ill")               # the new one answers
        self.ends(daemon)
        return log

    def test_a_service_that_leaks_or_says_it_is_ill(self):
        self.named(("pool", 600, "has pool_bytes "), ("threads", 30, "has threads 31, its limit is 20"),
                   ("ill", "", "says that it is ill: fever"))

    def test_a_service_of_its_own_process_that_leaks(self):
        self.named(("memory", 100, "has rss_bytes "), ("fds", 100, "has fds "), isolate=True,
                   limits={"rss_bytes": 64 * MIB, "fds": 60, "do": "restart"})

    def test_a_service_in_a_busy_loop(self):
        self.named(("spin", "", "has cpu_percent "))

    def test_a_service_that_does_not_answer(self):
        # It is waited for, a second each time.
        log = self.named(("hang", "", "does not answer: "), within=2.4)
        self.assertIn("is left mapped", log)


if __name__ == "__main__":
    unittest.main()
