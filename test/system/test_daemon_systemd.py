"""msf_daemon below a service manager: what it tells, what it is told, what it gets back after a kill -9.

The manager is test/system/manager.py; test_real_systemd.py has the real one, where it can run.
"""

import os
import signal
import socket
import time
import unittest
from pathlib import Path

from house import gone, program, wait_for
from manager import Manager
from test_daemon_attacks import DaemonCase

SLOW = "trap 'sleep 1.6; exit 0' TERM; while :; do sleep 1000 & wait; done"


def wakeups(pid):
    """How often a process has gone to sleep by itself."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("voluntary_ctxt"))


class Systemd(DaemonCase):
    def manage(self, *words, place=None, **options):
        command = [program("msf_daemon"), "-c", self.file, *words]
        place = place or self.house.folder / "notify"
        return Manager(self, command, self.house.env, self.house.folder, place, **options)

    def up(self, *processes, place=None, **options):
        self.configure(*(processes or [self.sleeper()]))
        manager = self.manage(place=place, **options)
        manager.start()
        manager.until_ready()
        return manager

    def pids(self):
        return {process["name"]: process["pid"] for process in self.status()["processes"]}

    def test_ready_is_said_when_everything_has_been_started(self):
        slow = self.script("slow", "sleep 1000", ready={"by": "exec", "command": ["false"], "timeout_ms": 20000})
        for place in [None, f"@msf-test-{os.getpid()}"]:
            manager = self.up(self.sleeper(), slow, place=place)
            # Started, not ready: nobody's readiness is a reason for systemd to give up the supervisor.
            self.assertFalse(any(gone(pid) for pid in self.pids().values()))
            self.assertIn(f"MAINPID={manager.pid}", manager.told)
            self.assertEqual(manager.status, "1 of 2 up; slow starting")
            self.assertEqual(manager.refused, [])
            self.assertEqual(manager.stop(), 0)
            self.assertIn("STOPPING=1", manager.told)

    def test_the_status_line_follows(self):
        manager = self.up(self.sleeper(), self.sleeper("two"))
        self.assertEqual(manager.status, "2 of 2 up")
        self.assertEqual(self.call("stop", "two").returncode, 0)
        manager.until("the line", lambda: manager.status == "1 of 2 up")

    def test_a_reload_is_told_from_its_beginning_to_its_end(self):
        manager = self.up()
        before = self.pids()
        self.configure(self.sleeper(), self.sleeper("two"))
        manager.reload()
        self.assertEqual(self.pids()["one"], before["one"])
        self.assertIn("two", self.pids())
        self.file.write_text("{")
        manager.reload()
        self.assertIn("not reloaded", manager.status)
        self.assertEqual(set(self.pids()), {"one", "two"})

    def test_a_reload_by_hand_is_told_too(self):
        manager = self.up()
        self.assertEqual(self.call("reload").returncode, 0)
        manager.until("it", lambda: manager.told.count("READY=1") == 2 and "RELOADING=1" in manager.told)

    def test_patience_is_asked_for_while_somebody_takes_his_time(self):
        slow = self.script("slow", SLOW, stop_timeout_ms=6000)
        last = self.script("last", SLOW, stop_timeout_ms=6000)
        manager = self.up(slow, last, stop_timeout=1.0)
        pids = self.pids().values()
        # One after the other: more than three seconds, of which systemd would have granted one.
        self.assertEqual(manager.stop(), 0)
        self.assertIsNone(manager.killed_by_us)
        self.assertTrue(all(gone(pid) for pid in pids))
        self.assertEqual(self.log().count("killed"), 0)

    def test_why_it_does_not_start_is_told(self):
        self.file.write_text('{"msf_procs": 1}')
        manager = self.manage()
        manager.start()
        self.assertEqual(manager.ended(), 2)
        self.assertEqual(manager.errno, 22)
        self.assertIn("msf_procs", manager.status)
        self.assertNotIn("READY=1", manager.told)

    def test_a_second_copy_is_refused_and_says_so(self):
        first = self.up()
        second = self.manage(place=self.house.folder / "second")
        second.start()
        self.assertEqual(second.ended(), 1)
        self.assertIn(str(first.pid), second.status)
        self.assertIsNotNone(second.errno)

    def test_the_heart_beats_twice_in_an_interval_and_only_if_asked(self):
        manager = self.up(watchdog=0.4)
        manager.until("six beats", lambda: len(manager.beats) >= 6)
        apart = [late - early for early, late in zip(manager.beats, manager.beats[1:])]
        self.assertLess(max(apart), 0.4)
        self.assertGreater(sorted(apart)[len(apart) // 2], 0.15)
        self.assertIsNone(manager.killed_by_us)
        self.assertEqual(manager.stop(), 0)
        # Meant for another process.
        manager.watchdog = None
        manager.start(WATCHDOG_USEC="400000", WATCHDOG_PID="1")
        manager.until_ready()
        manager.pump(0.5)
        self.assertEqual(manager.beats, [])

    def test_nobody_asks_and_nothing_wakes_it_up(self):
        manager = self.up()
        manager.until("the line's pause is over", lambda: manager.status == "1 of 1 up")
        time.sleep(0.5)
        before = wakeups(manager.pid)
        time.sleep(1.5)
        self.assertEqual(wakeups(manager.pid), before)

    def test_a_loop_that_hangs_is_noticed_and_the_next_daemon_adopts_all(self):
        manager = self.up(self.sleeper(), self.sleeper("two"), watchdog=0.5)
        before = self.pids()
        os.kill(manager.pid, signal.SIGSTOP)
        self.assertEqual(manager.ended(), -signal.SIGKILL)
        self.assertEqual(manager.killed_by_us, "watchdog")
        self.assertFalse(any(gone(pid) for pid in before.values()))
        manager.start()
        manager.until_ready()
        self.assertEqual(self.pids(), before)
        manager.until("both", lambda: manager.status == "2 of 2 up")
        self.assertEqual(manager.stop(), 0)
        self.assertTrue(all(gone(pid) for pid in before.values()))

    def test_a_manager_that_does_not_listen_holds_nothing_up(self):
        manager = self.up()
        while True:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
                other.setblocking(False)
                try:
                    other.sendto(b"X=1", manager.place)
                except BlockingIOError:
                    break
        begun = time.monotonic()
        for _ in range(3):
            self.assertEqual(self.call("restart", "one").returncode, 0)
        self.assertLess(time.monotonic() - begun, 3)
        manager.pump()

    def test_what_is_told_to_us_is_told_to_nobody_else(self):
        shown = self.house.folder / "env"
        listener = self.script("one", f"env > {shown}.new; ls -l /proc/$$/fd > {shown}.fds; mv {shown}.new {shown}; "
                                      "exec sleep 1000")
        self.configure(listener)
        manager = self.manage(watchdog=30)
        theirs = socket.create_server(("127.0.0.1", 0))
        manager.listening.append(("web", theirs))
        manager.start()
        manager.until_ready()
        wait_for("the child", shown.exists)
        names = {line.split("=")[0] for line in shown.read_text().splitlines()}
        told = {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "MAINPID"}
        self.assertEqual(names & told, set())
        self.assertNotIn("socket:", Path(f"{shown}.fds").read_text())


if __name__ == "__main__":
    unittest.main()
