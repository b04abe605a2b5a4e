"""`msf_daemon upgrade`: a successor takes the place of a process under calls, or comes to nothing and nobody notices."""

import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
import unittest
from pathlib import Path

from house import HERE, STAGE, gone, program, wait_for
from nmid_peer import GoodTraffic
from test_daemon_attacks import DaemonCase

KILLS = int(os.environ.get("MSF_UPGRADE_KILLS", "8"))
#: Hands over to whoever connects, as simply as it goes; `heir` says what a successor does.
TOY = """
import os, socket, sys, time
folder, heir = sys.argv[1], sys.argv[2]
def tell(variable, text):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.sendto(text.encode(), os.environ[variable])
place = f"{folder}/door.{os.getpid()}"
door = socket.socket(socket.AF_UNIX); door.bind(place); door.listen()
before = os.environ.get("MSF_UPGRADE_FROM")
if before:
    what = open(f"{folder}/heir").read().strip() if os.path.exists(f"{folder}/heir") else heir
    if what == "hang": time.sleep(1000)
    if what == "end": tell("MSF_UPGRADE_ASK", "STATUS=too young"); sys.exit(7)
    if what == "ill": tell("MSF_UPGRADE_ASK", "WATCHDOG=trigger"); time.sleep(1000)
    channel = socket.socket(socket.AF_UNIX); channel.connect(before); channel.send(b"x"); channel.recv(1)
    if what == "late": time.sleep(0.5)
tell("MSF_UPGRADE_ASK", f"MSF_UPGRADE_FROM={place}")
if "NOTIFY_SOCKET" in os.environ: tell("NOTIFY_SOCKET", "READY=1")
peer, _ = door.accept(); peer.recv(1)
if os.path.exists(f"{folder}/drain"):
    peer.send(b"y"); time.sleep(1000)
peer.send(b"y"); os.unlink(place)
"""


#: Answers on what it finds open; the first time it has a socket of its own kept as well.
KEPT = """
import array, os, select, socket, sys
own = sys.argv[1]
count = int(os.environ.get("LISTEN_FDS", "0")) if os.environ.get("LISTEN_PID") == str(os.getpid()) else 0
names = os.environ.get("LISTEN_FDNAMES", "").split(":")[:count]
doors = {name: socket.socket(fileno=3 + at) for at, name in enumerate(names)}
if own not in doors:
    doors[own] = socket.socket(socket.AF_UNIX); doors[own].bind(own); doors[own].listen(100)
    s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    s.connect(os.environ["NOTIFY_SOCKET"])
    s.sendmsg([f"FDSTORE=1\\nFDNAME={own}\\n".encode()], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [doors[own].fileno()]))])
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.sendto(b"READY=1", os.environ["NOTIFY_SOCKET"])
while True:
    for door in select.select(list(doors.values()), [], [])[0]:
        peer, _ = door.accept(); peer.send(f"{os.getpid()} {','.join(doors)}".encode()); peer.close()
"""


class Upgrade(DaemonCase):
    def toy(self, name="toy", heir="take", **changes):
        """A process that can hand over."""
        words = [sys.executable, "-c", TOY, str(self.house.folder), heir]
        return self.command(name, *words, ready={"by": "notify"}, **changes)

    def upgrade(self, *words, code=0):
        done = self.call("upgrade", *words)
        self.assertEqual(done.returncode, code, f"{done.stdout}{done.stderr}\n{self.log()}")
        return done

    def events(self, name):
        lines = (self.house.log / "msf_daemon.events.jsonl").read_text().splitlines()
        return [event for event in map(json.loads, lines) if event["name"] == name]

    def is_child(self, pid, daemon):
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]) == daemon.pid

    def goes_on(self, name, pid):
        """Nothing has become of it."""
        now = self.status(name)
        self.assertEqual((now["pid"], now["state"], now["restarts"], now["successor"]), (pid, "up", 0, None))


class Toys(Upgrade):
    def test_the_successor_is_the_service_and_nothing_counts_as_a_restart(self):
        self.configure(self.toy(), self.script("other", "exec sleep 1000", requires=["toy"]))
        daemon = self.start()
        self.call("wait", "toy", "other", "--ready")
        before, other = self.status("toy")["pid"], self.status("other")["pid"]
        done = json.loads(self.upgrade("toy", "--json").stdout)
        self.assertEqual((done["name"], done["upgraded"], done["before"], done["by"]), ("toy", True, before, "handover"))
        now = self.status("toy")
        self.assertEqual((now["pid"], now["state"], now["restarts"]), (done["pid"], "up", 0))
        self.assertNotEqual(now["pid"], before)
        wait_for("the end of the old one", lambda: gone(before) and self.status("toy")["replaced"] == [])
        # Who requires it has seen nothing.
        self.assertEqual(self.status("other")["pid"], other)
        told = [event["event"] for event in self.events("toy") if event["event"] != "state"]
        self.assertEqual(told, ["upgrade_begin", "upgraded"])
        self.assertIn(f"goes on for pid {now['pid']}", self.upgrade("toy").stdout)
        self.ends(daemon)

    def test_whatever_the_successor_fails_of_the_old_one_goes_on(self):
        self.configure(self.toy())
        daemon = self.start()
        self.call("wait", "toy", "--ready")
        pid = self.status("toy")["pid"]
        how = self.house.folder / "heir"
        for word, said in (("end", "exit code 7 (too young)"), ("ill", "says that it is ill"), ("hang", "not ready within")):
            how.write_text(word)
            if word == "hang":
                self.configure(self.toy(upgrade={"timeout_ms": 1500}))
                self.call("reload")
            self.assertIn(said, self.upgrade("toy", code=1).stderr)
            self.goes_on("toy", pid)
        wait_for("no other process", lambda: self.status("toy")["replaced"] == [])
        self.assertEqual(json.loads(self.upgrade("toy", "--json", code=1).stdout)["upgraded"], False)
        self.assertEqual([event["event"] for event in self.events("toy") if event["event"].startswith("upgrade")][:2],
                         ["upgrade_begin", "upgrade_failed"])
        # One at a time.
        how.write_text("hang")
        self.upgrade("toy", "--no-wait")
        self.assertIn("under way already", self.upgrade("toy", code=1).stderr)
        how.unlink()
        wait_for("its end", lambda: self.status("toy")["state"] == "up")
        self.configure(self.toy())
        self.call("reload")
        self.upgrade("toy")
        self.ends(daemon)

    def test_who_cannot_hand_over_is_refused_or_restarted(self):
        self.configure(self.sleeper("mute"), self.command("none", "sleep", "1000", upgrade={"by": "none"}),
                       self.command("again", "sleep", "1000", upgrade={"by": "restart"}))
        daemon = self.start()
        pids = {name: self.status(name)["pid"] for name in ("mute", "none", "again")}
        self.assertIn("MSF_UPGRADE_FROM", self.upgrade("mute", code=1).stderr)
        self.assertIn('"by": "none"', self.upgrade("none", code=1).stderr)
        self.upgrade("nobody", code=3)
        self.assertEqual({name: self.status(name)["pid"] for name in pids}, pids)
        for name, words in (("mute", ["--restart"]), ("none", ["--restart"]), ("again", [])):
            said = json.loads(self.upgrade(name, "--json", *words).stdout)
            self.assertEqual((said["by"], said["upgraded"]), ("restart", True))
            self.assertNotEqual(self.status(name)["pid"], pids[name])
        self.call("stop", "mute")
        self.assertIn("it is down", self.upgrade("mute", code=1).stderr)
        self.ends(daemon)

    def test_who_does_not_end_after_it_was_replaced_is_ended(self):
        self.configure(self.toy(upgrade={"drain_ms": 200}))
        daemon = self.start()
        self.call("wait", "toy", "--ready")
        before = self.status("toy")["pid"]
        (self.house.folder / "drain").touch()
        self.upgrade("toy")
        self.assertEqual(self.status("toy")["replaced"], [before])
        wait_for("its end", lambda: gone(before))
        wait_for("what the log says", lambda: "which was replaced, is asked to end" in self.log())
        self.ends(daemon)

    def test_an_upgrade_outlives_the_daemon(self):
        (self.house.folder / "drain").touch()
        for how in ("late", "hang"):
            with self.subTest(how):
                (self.house.folder / "heir").write_text(how)
                self.configure(self.toy(upgrade={"timeout_ms": 1500}), self.toy("bare", upgrade={"timeout_ms": 1500}))
                daemon = self.start()
                self.call("wait", "toy", "--ready")
                before = self.status("toy")["pid"]
                self.upgrade("toy", "--no-wait")
                heir = wait_for("an heir", lambda: self.status("toy")["successor"])
                daemon.kill()
                daemon.wait()
                daemon = self.start()
                if how == "late":
                    wait_for("the upgrade", lambda: self.status("toy")["pid"] == heir)
                    self.assertEqual(self.status("toy")["replaced"], [before])
                    daemon.kill()
                    daemon.wait()
                    daemon = self.start()
                    # Who was replaced is remembered as well.
                    self.assertEqual(self.status("toy")["replaced"], [before])
                else:
                    wait_for("its failure", lambda: self.status("toy")["state"] == "up")
                    self.goes_on("toy", before)
                    wait_for("the end of the heir", lambda: gone(heir))
                self.assertEqual(self.status("toy")["restarts"], 0)
                self.ends(daemon)
                self.assertTrue(gone(before) and gone(heir))


class Sockets(Upgrade):
    def ask(self, place):
        with socket.socket(socket.AF_UNIX) as peer:
            peer.settimeout(10)
            peer.connect(place)
            pid, _, names = peer.recv(500).decode().partition(" ")
        return int(pid), names

    def test_nobody_who_connects_is_refused_whoever_dies(self):
        ours, own = (str(self.house.folder / name) for name in ("ours", "own"))
        self.configure(self.command("kept", sys.executable, "-c", KEPT, own, ready={"by": "notify"},
                                    restart={"immediate": 100}, sockets=[{"name": "web", "unix": ours, "mode": "0640"}]))
        daemon = self.start()
        self.call("wait", "kept", "--ready")
        self.assertEqual(Path(ours).stat().st_mode & 0o777, 0o640)
        self.assertEqual(self.ask(ours)[1], f"web,{own}")
        inode = Path(ours).stat().st_ino, Path(own).stat().st_ino
        for word in ("child", "child", "daemon", "daemon", "child", "restart"):
            before = self.status("kept")["pid"]
            if word == "daemon":
                daemon.kill()
                daemon.wait()
                daemon = self.start()
            if word == "restart":
                self.call("restart", "kept", "--no-wait")
            else:
                os.kill(before, signal.SIGKILL)
            # At once: who comes while nobody is there waits.
            wait_for("the end of the old one", lambda before=before: gone(before))
            for place in (ours, own):
                pid, names = self.ask(place)
                self.assertEqual(names, f"web,{own}")
                self.assertNotEqual(pid, before)
        self.assertEqual((Path(ours).stat().st_ino, Path(own).stat().st_ino), inode)
        self.assertEqual(self.call("stop", "kept").returncode, 0)
        # Stopped for good: nobody listens any more.
        with self.assertRaises(OSError):
            self.ask(own)
        self.assertFalse(Path(ours).exists())
        self.ends(daemon)

    def test_a_place_that_is_taken_is_named(self):
        taken = self.house.folder / "taken"
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(str(taken))
            other.listen()
            self.configure(self.command("one", "sleep", "1000", sockets=[{"unix": str(taken)}]))
            daemon = self.start()
            wait_for("a reason", lambda: f"cannot listen on {taken}: Address already in use" in self.log())
            other.close()
            wait_for("a start", lambda: self.status("one")["state"] == "up")
            self.ends(daemon)


class Agents(Upgrade):
    def agent(self):
        conf = self.house.folder / "agent.conf"
        conf.write_text("net_enable=false\nmax_threads=2\nnmid_enable=true\nnmid_port=0\n")
        return {"proc_idx": 0, "proc_name": "broker", "proc_path": str(program("msf_agent")), "proc_conf": str(conf),
                "ready": {"by": "fd"}, "stdout": {"file": str(self.house.folder / "broker.out")}}

    def begin(self, *others):
        self.configure(self.agent(), *others)
        daemon = self.start()
        self.call("wait", "broker", "--ready")
        said = wait_for("a greeting", lambda: re.search(r"nmid ([0-9.]+):([0-9]+)", self.said()))
        return daemon, (said[1], int(said[2]))

    def said(self):
        path = self.house.folder / "broker.out"
        return path.read_text() if path.exists() else ""

    def test_calls_go_on_while_one_agent_after_the_other_takes_over(self):
        daemon, place = self.begin()
        with GoodTraffic(place) as traffic:
            for word in ("daemon", "agent", "daemon", "killed"):
                calls, before = traffic.calls, self.status("broker")["pid"]
                if word == "daemon":
                    self.upgrade("broker")
                else:
                    if word == "killed":
                        daemon.kill()
                        daemon.wait()
                        daemon = self.start()
                    done = self.house.call([program("msf_agent"), "-k", "upgrade"])
                    self.assertEqual(done.returncode, 0, done.stderr + self.house.text("msf_agent.log") + self.log())
                    self.assertIn(f"goes on for process {before}", done.stdout)
                # The old one may end before the daemon hears that the new one is ready.
                now = wait_for("the new one", lambda: (one := self.status("broker"))["pid"] != before and one["state"] == "up" and one)
                self.assertEqual(now["restarts"], 0)
                self.assertTrue(self.is_child(now["pid"], daemon))
                wait_for("the end of the old one", lambda: gone(before))
                wait_for("calls", lambda: traffic.calls > calls + 20)
        self.assertEqual(traffic.troubles, [])
        self.ends(daemon)

    def test_regress_what_was_done_while_no_daemon_listened_is_done(self):
        daemon, place = self.begin()
        with GoodTraffic(place) as traffic:
            before = self.status("broker")["pid"]
            self.upgrade("broker", "--no-wait")
            # It knows of the successor, and hears nothing of it any more, unless that was very quick.
            daemon.send_signal(signal.SIGSTOP)
            wait_for("the end of the old one", lambda: gone(before))
            wait_for("the new one", lambda: f"goes on for process {before}" in self.house.text("msf_agent.log"))
            daemon.kill()
            daemon.wait()
            # Collected, where somebody collects orphans.
            until = time.monotonic() + 2
            while Path(f"/proc/{before}").exists() and time.monotonic() < until:
                time.sleep(0.01)
            daemon = self.start()
            one = wait_for("its word", lambda: (one := self.status("broker"))["state"] == "up" and one)
            self.assertEqual((one["successor"], one["restarts"], one["last_exit"]), (None, 0, None), self.log())
            calls = traffic.calls
            wait_for("calls", lambda: traffic.calls > calls + 20)
        self.assertEqual(traffic.troubles, [])
        self.ends(daemon)

    def test_the_daemon_may_die_at_any_moment_of_an_upgrade(self):
        daemon, place = self.begin()
        dice = random.Random(11)
        with GoodTraffic(place) as traffic:
            for _ in range(KILLS):
                self.upgrade("broker", "--no-wait")
                time.sleep(dice.random() * 0.15)
                daemon.kill()
                daemon.wait()
                time.sleep(dice.random() * 0.05)
                daemon = self.start()
                one = wait_for("its end", lambda: (one := self.status("broker"))["state"] == "up" and one)
                self.assertEqual((one["successor"], one["restarts"]), (None, 0), self.log())
                calls = traffic.calls
                wait_for("calls", lambda calls=calls: traffic.calls > calls + 20)
                self.assertFalse(gone(one["pid"]))
        self.assertEqual(traffic.troubles, [], self.log() + self.house.text("msf_agent.log"))
        self.upgrade("broker")
        self.ends(daemon)

    def test_an_agent_in_the_background_is_followed_and_upgraded(self):
        agent = self.agent()
        self.configure({**agent, "args": ["-d"], "ready": {"by": "notify"}})
        daemon = self.start()
        self.call("wait", "broker", "--ready")
        # Its first process ends as soon as the one in the background serves.
        one = wait_for("the one in the background", lambda: (one := self.status("broker"))["replaced"] == [] and one)
        self.assertEqual((one["state"], one["restarts"]), ("up", 0), self.log())
        self.assertIn(f"its main process is pid {one['pid']} from now on", self.log())
        self.upgrade("broker")
        now = self.status("broker")
        self.assertEqual((now["state"], now["restarts"]), ("up", 0))
        wait_for("the end of the old one", lambda: gone(one["pid"]))
        # Its end is a death like any other.
        os.kill(now["pid"], signal.SIGKILL)
        wait_for("a restart", lambda: (again := self.status("broker"))["restarts"] == 1 and again["state"] == "up")
        self.ends(daemon)

    def test_a_stranger_is_not_followed(self):
        tell = ("import os,socket,sys,time; s=socket.socket(socket.AF_UNIX,socket.SOCK_DGRAM);"
                "s.sendto(f'MAINPID={sys.argv[1]}\\nREADY=1'.encode(),os.environ['NOTIFY_SOCKET']); time.sleep(1000)")
        self.configure(self.command("one", sys.executable, "-c", tell, str(os.getpid()), ready={"by": "notify"}))
        daemon = self.start()
        self.call("wait", "one", "--ready")
        wait_for("a refusal", lambda: f"MAINPID={os.getpid()} is refused: it is neither" in self.log())
        self.assertNotEqual(self.status("one")["pid"], os.getpid())
        self.ends(daemon)

    def test_an_agent_that_is_none_changes_nothing_and_says_why(self):
        daemon, place = self.begin()
        (self.house.folder / "agent.conf").write_text("tcp_port=nonsense\n")
        pid = self.status("broker")["pid"]
        with GoodTraffic(place) as traffic:
            self.assertIn("ended before it was ready", self.upgrade("broker", code=1).stderr)
            done = self.house.call([program("msf_agent"), "-k", "upgrade"])
            self.assertEqual(done.returncode, 1)
            self.assertIn("the new process has ended before it was ready: exit code 2", done.stderr)
            calls = traffic.calls
            wait_for("calls", lambda: traffic.calls > calls + 20)
        self.assertEqual(traffic.troubles, [])
        self.goes_on("broker", pid)
        self.ends(daemon)

    def known_as(self, name):
        """Who that service is to the agent."""
        listed = json.loads(self.house.call([program("msf_agent"), "list", "--json"]).stdout)
        return next(one["peer"] for one in listed["services"] if one["name"] == name)

    def test_a_service_hands_its_connection_to_its_successor(self):
        binary = self.house.compile(HERE / "heir_service.c", self.house.folder / "service")
        env = {"LD_LIBRARY_PATH": str(STAGE / "lib")}
        service = self.command("service", str(binary), env=env, ready={"by": "notify"}, requires=["broker"],
                               upgrade={"timeout_ms": 400}, working_directory=str(self.house.folder))
        daemon, _ = self.begin(service)
        self.call("wait", "service", "--ready")
        caller = self.house.start([binary, "calls"], stdin=subprocess.PIPE, env={**self.house.env, **env})
        for _ in range(5):
            before = self.status("service")["pid"]
            self.upgrade("service")
            wait_for("the end of the old one", lambda before=before: gone(before))
            # The kernel goes on naming the first one, who has connected; the agent has heard of the heir.
            wait_for("its pid at the agent", lambda: f"pid {self.status('service')['pid']} " in self.known_as("PASSED"))
        hang = self.house.folder / "hang"
        hang.touch()
        before = self.status("service")["pid"]
        self.assertIn("not ready within", self.upgrade("service", code=1).stderr)
        self.goes_on("service", before)
        out, err = caller.communicate("", timeout=10)
        calls, wrong = map(int, out.split())
        self.assertEqual(wrong, 0, err)
        self.assertGreater(calls, 100)
        self.ends(daemon)


if __name__ == "__main__":
    unittest.main()
