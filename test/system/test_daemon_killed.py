"""msf_daemon is killed at random moments while its services die as well: nobody runs twice, nobody is forgotten."""

import os
import random
import signal
import subprocess
import time
import unittest

from house import gone, program, wait_for
from test_daemon_attacks import DaemonCase

SERVICES = 12
KILLS = int(os.environ.get("MSF_DAEMON_KILLS", "40"))


class Killed(DaemonCase):
    def service(self, name):
        """Whoever finds the lock taken is a second copy, and says so."""
        folder = self.house.folder
        text = (f"exec 9>{folder}/{name}.lock; flock -n 9 || {{ echo {name} >> {folder}/twice; exit 1; }}; "
                f"echo $$ >> {folder}/{name}.lives; exec sleep 1000")
        return self.script(name, text, ready={"by": "none"})

    def run_daemon(self):
        """Does not wait for anything."""
        return self.house.start([program("msf_daemon"), "-c", self.file], stdout=subprocess.DEVNULL,
                                stderr=subprocess.DEVNULL)

    def lives(self, name):
        path = self.house.folder / f"{name}.lives"
        return [int(line) for line in path.read_text().split()] if path.exists() else []

    def test_at_any_moment(self):
        names = [f"s{index}" for index in range(SERVICES)]
        self.configure(*map(self.service, names), restart={"immediate": 1000, "refill_ms": 1})
        dice = random.Random(5)
        daemon = self.run_daemon()
        wait_for("all have lived", lambda: all(self.lives(name) for name in names))
        for _ in range(KILLS):
            # A few services first, so that some are being made just now.
            for name in dice.sample(names, dice.randrange(4)):
                try:
                    os.kill(self.lives(name)[-1], signal.SIGKILL)
                except ProcessLookupError:
                    pass
            time.sleep(dice.random() * 0.004)
            daemon.kill()
            daemon.wait()
            time.sleep(dice.random() * 0.003)
            daemon = self.run_daemon()
            time.sleep(dice.random() * 0.03)
        wait_for("an answer", lambda: self.call("status").returncode == 0)
        wait_for("all up", lambda: {one["state"] for one in self.status()["processes"]} == {"up"}, 30)
        self.assertFalse((self.house.folder / "twice").exists(), self.log())
        pids = [self.status(name)["pid"] for name in names]
        self.assertEqual([pid for pid in pids if gone(pid)], [])
        # What is known is what runs: whoever lives was the last to say so.
        self.assertEqual([self.lives(name)[-1] for name in names], pids)
        self.ends(daemon)
        self.assertEqual([pid for name in names for pid in self.lives(name) if not gone(pid)], [])


# Whoever orphans fall to, instead of process 1: he collects them at once, or never.
FATHER = """
import ctypes, signal, subprocess, sys
PR_SET_CHILD_SUBREAPER = 36
assert ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0
subprocess.Popen(sys.argv[2:])
if sys.argv[1] == "collects":
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
signal.pause()
while True:
    signal.pause()
"""
TOLD = "end=$(cat {0}/{1}); rm {0}/{1}; case $end in *[A-Z]*) kill -$end $$ ;; esac; exit $end"


class Ends(DaemonCase):
    """How somebody else's child has ended is known to the kernel alone."""

    def ends_are_known(self, father):
        ends = {"exits": ("42", 42, None), "works": ("0", 0, None), "dies": ("SEGV", None, 11)}
        scripts = {name: f"trap 'exit 1' TERM; while [ ! -e {self.house.folder}/{name} ]; do sleep 0.02; done; "
                   + TOLD.format(self.house.folder, name) for name in ends}
        self.configure(*(self.script(name, text) for name, text in scripts.items()))
        first = self.house.start(["python3", "-c", FATHER, father, program("msf_daemon"), "-c", self.file],
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(first.kill)
        wait_for("an answer", lambda: self.call("status").returncode == 0)
        wait_for("all up", lambda: {one["state"] for one in self.status()["processes"]} == {"up"})
        before = {name: self.status(name)["pid"] for name in ends}
        self.assertEqual(self.call("-k", "kill").returncode, 0)
        daemon = self.start()
        self.assertEqual({name: self.status(name)["pid"] for name in ends}, before)
        for name, (word, code, number) in ends.items():
            part = self.house.folder / f"{name}.part"
            part.write_text(word)
            part.rename(self.house.folder / name)
            wait_for(f"{name} is another", lambda name=name: self.status(name)["pid"] not in (None, before[name]))
            last = self.status(name)["last_exit"]
            self.assertEqual((last["code"], last["signal"]), (code, number), last)
        self.ends(daemon)

    def test_of_one_that_nobody_has_collected(self):
        self.ends_are_known("lets lie")

    @unittest.skipUnless(tuple(map(int, os.uname().release.split(".")[:2])) >= (6, 15), "this kernel forgets who was collected")
    def test_of_one_that_was_collected_at_once(self):
        self.ends_are_known("collects")


if __name__ == "__main__":
    unittest.main()
