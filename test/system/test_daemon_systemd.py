"""msf_daemon below a service manager: what it tells, what it is told, what it gets back after a kill -9.

The manager is test/system/manager.py; test_real_systemd.py has the real one, where it can run.
"""

import json
import os
import signal
import socket
import sys
import time
import unittest
from pathlib import Path

from house import gone, program, wait_for
from manager import Manager
from test_daemon_attacks import DaemonCase

KEEPER = Path(__file__).with_name("activated_keeper.py")
SERVER = Path(__file__).with_name("activated_server.py")
SLOW = "trap 'sleep 1.6; exit 0' TERM; while :; do sleep 1000 & wait; done"


def wakeups(pid):
    """How often a process has gone to sleep by itself."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("voluntary_ctxt"))


class Managed(DaemonCase):
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


class Systemd(Managed):
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
        manager = self.up(watchdog=1)
        manager.until("four beats", lambda: len(manager.beats) >= 4)
        apart = [late - early for early, late in zip(manager.beats, manager.beats[1:])]
        self.assertLess(max(apart), 1)
        self.assertGreater(sorted(apart)[len(apart) // 2], 0.4)
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
        manager = self.up(self.sleeper(), self.sleeper("two"), watchdog=1)
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


class Sockets(Managed):
    """Listening sockets: from a socket unit, from what systemd has kept, from the processes themselves."""

    def server(self, *sockets, **changes):
        return self.command("web", sys.executable, "-SE", str(SERVER), sockets=list(sockets), ready={"by": "fd"}, **changes)

    def ask(self, address):
        """What the server behind the socket says: its pid, and the socket's inode."""
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        with socket.socket(family) as caller:
            caller.settimeout(20)
            caller.connect(address)
            return json.loads(caller.makefile().readline())

    def free_port(self):
        with socket.socket() as one:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            one.bind(("127.0.0.1", 0))
            return one.getsockname()

    def at(self, address):
        return {"name": "web", "listen": "%s:%d" % address}

    def both(self):
        """A configuration with one socket of each kind; their addresses."""
        tcp, unix = self.free_port(), str(self.house.folder / "web.sock")
        self.configure(self.server(self.at(tcp), {"name": "local", "unix": unix, "mode": "0640"}))
        return tcp, unix

    def test_a_process_gets_those_it_names_and_they_stay_open_over_its_death(self):
        tcp, unix = self.both()
        daemon = self.start()
        self.call("wait", "web", "--ready")
        first = self.ask(tcp)
        self.assertEqual(first["names"], ["web", "local"])
        self.assertEqual(first["ready_fd"], "5")
        self.assertEqual(os.stat(unix).st_mode & 0o777, 0o640)
        self.assertEqual(self.ask(unix)["pid"], self.pids()["web"])
        for _ in range(5):
            os.kill(self.pids()["web"], signal.SIGKILL)
            # Nobody is refused: the connection waits for whoever comes.
            last = self.ask(tcp)
            self.assertEqual(last["inodes"], first["inodes"])
        self.assertNotEqual(last["pid"], first["pid"])
        self.ends(daemon)
        self.assertFalse(os.path.exists(unix))

    def test_without_systemd_they_are_had_back_from_the_processes(self):
        tcp, unix = self.both()
        daemon = self.start()
        self.call("wait", "web", "--ready")
        first = self.ask(tcp)
        daemon.kill()
        daemon.wait()
        self.assertEqual(self.ask(tcp), first)
        daemon = self.start()
        # The process is the last who has them but the daemon.
        os.kill(first["pid"], signal.SIGKILL)
        last = self.ask(tcp)
        self.assertEqual((last["inodes"], self.ask(unix)["pid"]), (first["inodes"], last["pid"]))
        self.assertNotEqual(last["pid"], first["pid"])
        self.ends(daemon)

    def test_what_the_manager_has_kept_comes_back_even_if_everybody_is_dead(self):
        tcp, unix = self.both()
        manager = self.manage()
        manager.start()
        manager.until_ready()
        first = self.ask(tcp)
        manager.until("both", lambda: len(manager.store) == 2)
        self.assertEqual(sorted(name for name, _ in manager.store), ["web/local", "web/web"])
        os.kill(manager.pid, signal.SIGSTOP)
        os.kill(first["pid"], signal.SIGKILL)
        os.kill(manager.pid, signal.SIGKILL)
        manager.ended()
        # Nobody listens, and nobody is refused.
        with socket.socket() as early:
            early.connect(tcp)
            manager.start()
            manager.until_ready()
            early.settimeout(20)
            last = json.loads(early.makefile().readline())
        self.assertEqual(last["inodes"], first["inodes"])
        manager.pump(0.3)
        self.assertEqual(len(manager.store), 2)
        self.assertEqual(manager.stop(), 0)

    def test_a_socket_unit_hands_over_and_every_successor_gets_it_too(self):
        theirs = socket.create_server(("127.0.0.1", 0))
        self.configure(self.server({"name": "web"}))
        manager = self.manage()
        manager.listening.append(("web", theirs))
        manager.start()
        manager.until_ready()
        first = self.ask(theirs.getsockname())
        self.assertEqual(first["inodes"], [os.fstat(theirs.fileno()).st_ino])
        os.kill(first["pid"], signal.SIGKILL)
        last = self.ask(theirs.getsockname())
        self.assertEqual((last["names"], last["inodes"]), (["web"], first["inodes"]))
        # Whose it is: theirs, who gives it to the next daemon as well.
        self.assertEqual(manager.store, [])
        self.assertEqual(last["inodes"], first["inodes"])
        os.kill(manager.pid, signal.SIGKILL)
        manager.ended()
        manager.start()
        manager.until_ready()
        self.assertEqual(self.ask(theirs.getsockname()), last)
        self.assertEqual(manager.stop(), 0)

    def test_a_socket_unit_is_known_by_where_it_listens_whatever_it_is_called(self):
        theirs = socket.create_server(("127.0.0.1", 0))
        self.configure(self.server(self.at(theirs.getsockname())))
        manager = self.manage()
        manager.listening.append(("msf.socket", theirs))
        manager.start()
        manager.until_ready()
        self.assertEqual(self.ask(theirs.getsockname())["inodes"], [os.fstat(theirs.fileno()).st_ino])
        self.assertEqual(manager.stop(), 0)

    def test_the_file_of_a_socket_unit_is_not_ours_to_take_away(self):
        path = str(self.house.folder / "unit.sock")
        theirs = socket.socket(socket.AF_UNIX)
        theirs.bind(path)
        theirs.listen()
        self.configure(self.server({"name": "web", "unix": path}))
        manager = self.manage()
        manager.listening.append(("web", theirs))
        manager.start()
        manager.until_ready()
        self.assertEqual(self.ask(path)["inodes"], [os.fstat(theirs.fileno()).st_ino])
        self.assertEqual(manager.stop(), 0)
        self.assertTrue(os.path.exists(path))

    def test_what_a_process_gives_to_keep_goes_up_and_comes_back_to_it(self):
        self.configure(self.command("keeper", sys.executable, "-SE", str(KEEPER), ready={"by": "notify"}))
        manager = self.manage()
        manager.start()
        manager.until_ready()
        self.call("wait", "keeper", "--ready")
        manager.until("it", lambda: [name for name, _ in manager.store] == ["keeper/count"])
        for number in range(1, 4):
            self.assertEqual(os.pread(manager.store[0][1], 10, 0), b"%d" % number)
            keeper = self.pids()["keeper"]
            # Everybody is gone; the memory is with the manager alone.
            os.kill(manager.pid, signal.SIGSTOP)
            os.kill(keeper, signal.SIGKILL)
            os.kill(manager.pid, signal.SIGKILL)
            manager.ended()
            manager.start()
            manager.until_ready()
            self.assertEqual(self.call("wait", "keeper", "--ready", "--timeout", "20").returncode, 0)
        self.assertEqual(len(manager.store), 1)
        self.assertEqual(manager.stop(), 0)

    def test_what_is_not_given_is_waited_for_by_the_law(self):
        self.configure(self.server({"name": "web"}))
        daemon = self.start()
        self.assertIn("whoever started us has left us no descriptor of that name", self.log())
        self.assertEqual(self.status("web")["state"], "waiting")
        self.ends(daemon)

    def test_an_address_that_is_taken_is_a_sentence_and_the_others_run(self):
        with socket.create_server(("127.0.0.1", 0)) as other:
            self.configure(self.server(self.at(other.getsockname())), self.sleeper("two"))
            daemon = self.start()
            self.assertIn("cannot listen on 127.0.0.1:", self.log())
            self.assertIn("Address already in use", self.log())
            self.assertEqual(self.status("two")["state"], "up")
        self.assertEqual(self.call("wait", "web", "--ready", "--timeout", "20").returncode, 0)
        self.ends(daemon)

    def test_a_reload_moves_a_socket_and_whoever_has_it(self):
        tcp, _ = self.both()
        manager = self.manage()
        manager.start()
        manager.until_ready()
        first = self.ask(tcp)
        manager.until("both", lambda: len(manager.store) == 2)
        self.assertTrue((self.house.folder / "web.sock").exists())
        other = self.free_port()
        self.configure(self.server(self.at(other)))
        manager.reload()
        self.assertEqual(self.call("wait", "web", "--ready", "--timeout", "20").returncode, 0)
        last = self.ask(other)
        self.assertNotEqual(last["inodes"], first["inodes"])
        self.assertFalse((self.house.folder / "web.sock").exists())
        # The manager has a copy as well until it is told.
        manager.until("one", lambda: [name for name, _ in manager.store] == ["web/web"])
        with self.assertRaises(ConnectionRefusedError):
            self.ask(tcp)
        self.assertEqual(manager.stop(), 0)

    def test_variables_that_make_no_sense_are_a_sentence(self):
        self.configure(self.sleeper())
        manager = self.manage()
        manager.start(LISTEN_FDS="two", LISTEN_PID="1")
        manager.until_ready()
        manager.stop()
        # Only if they are meant for us.
        script = 'LISTEN_PID=$$ LISTEN_FDS=two exec "$@"'
        done = self.house.call(["sh", "-c", script, "sh", program("msf_daemon"), "-c", self.file])
        self.assertEqual(done.returncode, 1)
        self.assertIn("LISTEN_FDS: expected 0 to", done.stderr)


if __name__ == "__main__":
    unittest.main()
