"""msf_daemon as process 1 of a container, and as the one who waits for orphans elsewhere.

The container is made of namespaces: pids of its own with a /proc of its own, and where it says so a root that is read
only, with a /dev as container runtimes make it and neither /run nor /var/log nor /dev/log.
"""

import errno
import os
import shutil
import signal
import subprocess
import sys
import time
import unittest
from pathlib import Path

from house import gone, program, wait_for
from test_daemon_attacks import DaemonCase

# Leaves children of other sessions behind, whose parents are gone; they end when somebody has opened the pipe and closed
# it again.
ORPHANS = """
import os, signal, sys, time
def hold():
    open({hold!r}).read()
for _ in range({count}):
    if os.fork() == 0:
        if os.fork() == 0:
            os.setsid()
            hold()
        os._exit(0)
    os.wait()
{then}
"""
POLITE = "trap 'sleep {pause}; echo {name} >> {folder}/ends; exit 0' TERM; echo > {folder}/up.{name}; while :; do sleep 1000 & wait; done"
STUBBORN = "trap '' TERM; echo > {folder}/up.{name}; while :; do sleep 1000; done"
NAMESPACES = ["unshare", "--pid", "--fork", "--mount", "--mount-proc", "--kill-child"]


def why_not():
    """Why there can be no namespaces here; nothing if there can."""
    if not shutil.which("unshare"):
        return "there is no unshare"
    done = subprocess.run([*NAMESPACES, "true"], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    return done.stderr.strip() if done.returncode else ""


WHY_NOT = why_not()


def children(pid):
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def state(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def zombies(pid):
    return [child for child in children(pid) if state(child) == "Z"]


class Container(DaemonCase):
    def container(self, *words, before=(), **options):
        """A daemon as process 1; its pid as it is seen from here."""
        self.outer = self.house.start([*NAMESPACES, *before, program("msf_daemon"), "-c", self.file, *words], **options)
        wait_for("an answer", lambda: self.outer.poll() is not None or self.call("status").returncode == 0)
        if self.outer.poll() is not None:
            self.fail(self.outer.stderr.read())
        # unshare has one child, which has become the daemon, or is the shell that has become it.
        return children(self.outer.pid)[0]

    def with_orphans(self, name, count, then, **changes):
        """A service with a pipe of its own, that many orphans, and something to do afterwards."""
        hold = str(self.house.folder / f"hold.{name}")
        os.mkfifo(hold)
        code = ORPHANS.format(hold=hold, count=count, then=then)
        return self.command(name, sys.executable, "-SE", "-c", code, **changes)

    def let_go(self, *names):
        """Whoever holds on to the pipes now ends; one that was only about to may need to be told again."""
        for name in names:
            try:
                os.close(os.open(self.house.folder / f"hold.{name}", os.O_WRONLY | os.O_NONBLOCK))
            except OSError as error:
                if error.errno != errno.ENXIO:
                    raise

    def until_alone(self, pid, *names, left=1):
        """No orphan is left of those who hold on to these pipes."""
        wait_for("their end", lambda: self.let_go(*names) or len(children(pid)) == left, 20)

    def polite(self, name, pause=0, **changes):
        changes = {"stop_timeout_ms": 8000, "ready": {"by": "exec", "command": ["test", "-e", f"{self.house.folder}/up.{name}"]},
                   **changes}
        return self.script(name, POLITE.format(name=name, pause=pause, folder=self.house.folder), **changes)

    def stubborn(self, name):
        return self.script(name, STUBBORN.format(name=name, folder=self.house.folder), stop_timeout_ms=60000,
                           ready={"by": "exec", "command": ["test", "-e", f"{self.house.folder}/up.{name}"]})

    def ready(self, *names):
        done = self.call("wait", *names, "--ready", "--timeout", "20")
        self.assertEqual(done.returncode, 0, done.stderr)

    def ended(self):
        return self.outer.wait(20)


@unittest.skipIf(WHY_NOT, WHY_NOT)
class Process1(Container):
    LONG = True

    def test_hundreds_of_orphans_that_end_at_once_are_reaped_and_no_service_is_mistaken(self):
        never = {"policy": "never"}
        self.configure(self.with_orphans("one", 200, "hold(); sys.exit(7)", restart=never),
                       self.with_orphans("two", 3, "hold(); os.kill(os.getpid(), signal.SIGSEGV)", restart=never),
                       self.sleeper("three"))
        inner = self.container()
        three = self.status("three")["pid"]
        wait_for("orphans of process 1", lambda: len(children(inner)) == 206, 30)
        self.until_alone(inner, "one", "two")
        self.assertEqual(self.status("one")["last_exit"]["code"], 7)
        self.assertEqual(self.status("two")["last_exit"]["signal"], signal.SIGSEGV)
        self.assertEqual((self.status("three")["pid"], self.status("three")["restarts"]), (three, 0))
        self.assertEqual(zombies(inner), [])
        os.kill(inner, signal.SIGTERM)
        self.assertEqual(self.ended(), 0)

    def test_orphans_of_killed_services_are_reaped_while_the_services_come_back(self):
        names = [f"s{number}" for number in range(2)]
        self.configure(*(self.with_orphans(name, 5, "time.sleep(1000)") for name in names), restart={"immediate": 100})
        inner = self.container()
        for round_ in range(2):
            wait_for("all up", lambda: all(self.status(name)["restarts"] == round_ for name in names))
            # Orphans of those before live on: they are in sessions of their own.
            wait_for("their orphans", lambda: len(children(inner)) == len(names) * (1 + 5 * (round_ + 1)))
            for name in names:
                self.assertEqual(self.call("signal", name, "KILL").returncode, 0)
        wait_for("all back", lambda: all(self.status(name)["restarts"] == 2 for name in names))
        wait_for("their orphans", lambda: len(children(inner)) == len(names) * 16)
        self.until_alone(inner, *names, left=len(names))
        self.assertEqual(zombies(inner), [])

    def test_every_signal_by_which_containers_are_told_to_end(self):
        self.configure(self.polite("one"), self.polite("two", requires=["one"]), self.polite("three", after=["two"]))
        for number in [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGPWR, signal.SIGRTMIN + 3]:
            (self.house.folder / "ends").unlink(missing_ok=True)
            for name in ["one", "two", "three"]:
                (self.house.folder / f"up.{name}").unlink(missing_ok=True)
            inner = self.container()
            self.ready("three")
            os.kill(inner, number)
            self.assertEqual(self.ended(), 0, number)
            self.assertEqual((self.house.folder / "ends").read_text().split(), ["three", "two", "one"], number)

    def test_the_other_signals(self):
        told = self.house.folder / "told"
        main = self.script("one", f"trap 'echo USR2 >> {told}' USR2; echo > {told}.up; while :; do sleep 0.05; done",
                           restart={"policy": "never"})
        self.configure(main, main="one")
        inner = self.container()
        wait_for("it listens", Path(f"{told}.up").exists)
        os.kill(inner, signal.SIGUSR2)
        wait_for("it is told", told.exists)
        self.configure(main, self.sleeper("two"), main="one")
        os.kill(inner, signal.SIGHUP)
        wait_for("the reload", lambda: self.status("two"))
        (self.house.log / "msf_daemon.log").rename(self.house.log / "old.log")
        os.kill(inner, signal.SIGUSR1)
        wait_for("the log", (self.house.log / "msf_daemon.log").exists)
        # Without a handler process 1 does not hear these at all.
        for number in [signal.SIGALRM, signal.SIGPIPE, signal.SIGVTALRM, signal.SIGWINCH]:
            os.kill(inner, number)
        self.assertEqual(self.status("two")["state"], "up")

    def test_a_second_time_nobody_is_waited_for(self):
        self.configure(self.stubborn("one"), self.polite("two", pause=30))
        inner = self.container()
        self.ready("one", "two")
        os.kill(inner, signal.SIGTERM)
        wait_for("the way down", lambda: self.status("two")["state"] == "stopping")
        # Once more at the same moment, as some do, is once.
        os.kill(inner, signal.SIGTERM)
        time.sleep(0.7)
        self.assertIsNone(self.outer.poll())
        begun = time.monotonic()
        os.kill(inner, signal.SIGTERM)
        self.assertEqual(self.ended(), 0)
        self.assertLess(time.monotonic() - begun, 5)
        self.assertIn("SIGTERM again", self.log())

    def test_the_end_of_the_main_process_is_the_end_of_all_with_its_status(self):
        for code, status in [("exit 0", 0), ("exit 7", 7), ("kill -9 $$", 137)]:
            (self.house.folder / "ends").unlink(missing_ok=True)
            (self.house.folder / "up.one").unlink(missing_ok=True)
            main = self.script("main", f"while ! [ -e {self.house.folder}/up.one ]; do sleep 0.02; done; sleep 0.3; {code}",
                               restart={"policy": "never"})
            self.configure(self.polite("one"), main, main="main")
            done = self.house.call([*NAMESPACES, program("msf_daemon"), "-c", self.file])
            self.assertEqual(done.returncode, status)
            self.assertEqual((self.house.folder / "ends").read_text(), "one\n")
        self.configure(self.command("main", "/nowhere/at/all", restart={"policy": "never"}), main="main")
        self.assertEqual(self.house.call([*NAMESPACES, program("msf_daemon"), "-c", self.file]).returncode, 127)

    def test_a_main_process_that_comes_back_is_not_the_end(self):
        count = self.house.folder / "count"
        main = self.script("main", f"echo >> {count}; [ $(wc -l < {count}) -gt 2 ] && exit 0; exit 3",
                           restart={"policy": "on-failure"})
        self.configure(main, main="main")
        done = self.house.call([*NAMESPACES, program("msf_daemon"), "-c", self.file])
        self.assertEqual((done.returncode, count.read_text()), (0, "\n\n\n"))

    def bare(self, words, devices=("null", "zero", "full", "random", "urandom", "tty")):
        """A container with nothing but what it needs: how its process 1 is started."""
        root = self.house.folder / "root"
        lines = [
            "set -e", f"root={root}", "mkdir -p $root", "mount -t tmpfs -o mode=755 tmpfs $root",
            "mkdir -p $root/proc $root/dev $root/state $root/usr $root/conf $root/prog",
            "mount --rbind /usr $root/usr",
            "for d in bin sbin lib lib32 lib64; do [ -L /$d ] && cp -a /$d $root/ || { [ ! -d /$d ] || "
            "{ mkdir $root/$d; mount --rbind /$d $root/$d; }; }; done",
            f"mount --bind {program('msf_daemon').parent} $root/prog", f"mount --bind {self.house.folder} $root/conf",
            f"mkdir -p {self.house.run} {self.house.log}", f"mount --bind {self.house.folder} $root/state",
            "mount -t proc proc $root/proc", "mount -t tmpfs -o mode=755 tmpfs $root/dev",
            *(f"touch $root/dev/{name}; mount --bind /dev/{name} $root/dev/{name}" for name in devices),
            "mount -o remount,ro,bind $root", "cd $root",
            f"exec chroot $root env -i PATH=/usr/bin:/bin MSF_RUN_DIR=/state/run MSF_LOG_DIR=/state/log {words}",
        ]
        return ["sh", "-c", "\n".join(lines)]

    def test_a_bare_container(self):
        self.configure(self.sleeper("one"))
        words = "sh -c 'exec /prog/msf_daemon -c /conf/d.json <&- >&- 2>&-'"
        self.outer = self.house.start([*NAMESPACES, *self.bare(words)])
        wait_for("an answer", lambda: self.outer.poll() is not None or self.call("status").returncode == 0)
        if self.outer.poll() is not None:
            self.fail(self.outer.stderr.read())
        inner = children(self.outer.pid)[0]
        one = self.status("one")
        self.assertEqual(one["state"], "up")
        self.assertTrue(os.readlink(f"/proc/{children(inner)[0]}/fd/0").endswith("/dev/null"))
        os.kill(inner, signal.SIGTERM)
        self.assertEqual(self.ended(), 0)

    def test_a_root_that_nobody_can_write_to_is_a_sentence(self):
        self.configure(self.sleeper("one"))
        words = "MSF_RUN_DIR=/nowhere/run /prog/msf_daemon -c /conf/d.json"
        done = self.house.call([*NAMESPACES, *self.bare(words)])
        self.assertEqual(done.returncode, 1)
        self.assertIn("/nowhere/run", done.stderr)
        self.assertNotIn("panicked", done.stderr)


class Subreaper(Container):
    def test_orphans_are_waited_for_where_it_is_not_process_1(self):
        self.configure(self.with_orphans("one", 50, "time.sleep(1000)"))
        daemon = self.start()
        wait_for("orphans", lambda: len(children(daemon.pid)) == 51)
        self.until_alone(daemon.pid, "one")
        self.assertEqual((zombies(daemon.pid), self.status("one")["restarts"]), ([], 0))
        self.ends(daemon)

    def test_an_adopted_process_and_its_orphans_are_told_apart(self):
        self.configure(self.script("one", "while :; do (setsid sh -c 'sleep 0.1' &); sleep 0.05; done"))
        daemon = self.start()
        one = self.status("one")["pid"]
        daemon.kill()
        daemon.wait()
        daemon = self.start()
        self.assertEqual(self.status("one")["pid"], one)
        os.kill(one, signal.SIGKILL)
        wait_for("its successor", lambda: self.status("one")["restarts"] == 1)
        self.assertTrue(gone(one))
        self.ends(daemon)

    def test_regress_the_loop_releases_nobody_itself(self):
        probe = {"by": "exec", "command": ["true"], "interval_ms": 50}
        self.configure({**self.sleeper("p0"), "health": probe}, *(self.sleeper(f"p{i}") for i in range(1, 20)),
                       self.with_orphans("one", 50, "time.sleep(1000)"), restart={"immediate": 10})
        daemon = self.start()
        wait_for("orphans", lambda: len(children(daemon.pid)) >= 71)
        calls = self.house.folder / "calls"
        strace = self.house.start(["strace", "-f", "-qq", "-e", "trace=waitid", "-o", calls, "-p", str(daemon.pid)])
        traced = Path(f"/proc/{daemon.pid}/status")
        wait_for("strace", lambda: strace.poll() is not None or "TracerPid:\t0\n" not in traced.read_text())
        if strace.poll() is not None:
            self.skipTest(f"strace may not: {strace.stderr.read().strip()}")
        old = {self.status(f"p{i}")["pid"] for i in range(20)}
        for pid in old:
            os.kill(pid, signal.SIGKILL)
        self.until_alone(daemon.pid, "one", left=21)
        wait_for("all anew", lambda: all(self.status(f"p{i}")["pid"] not in (None, *old) for i in range(20)))
        strace.terminate()
        strace.wait()
        released = [line.split()[0] for line in calls.read_text().splitlines() if "WEXITED" in line and "WNOWAIT" not in line]
        self.assertGreaterEqual(len(released), 70)
        self.assertEqual(len(set(released)), 1)
        self.assertNotIn(str(daemon.pid), released)
        self.ends(daemon)


if __name__ == "__main__":
    unittest.main()
