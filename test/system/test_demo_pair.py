"""msf_agent, msf_upnp and msf_dlna as a user meets them: no arguments, no configuration, an ordinary user, an empty folder."""

import os
import re
import shutil
import signal
import time
import unittest

from house import STAGE, House, gone, wait_for

NOBODY = 65534


class DemoPair(unittest.TestCase):
    def setUp(self):
        self.house = House(self)
        self.tree = self.house.folder / "tree"      # where an ordinary user may read it
        for part in ("bin", "lib"):
            shutil.copytree(STAGE / part, self.tree / part, symlinks=True)
        self.empty = self.house.folder / "empty"
        self.said = self.house.folder / "said"
        self.runtime = self.house.folder / "runtime"
        for folder in (self.empty, self.said, self.runtime):
            folder.mkdir(mode=0o700)
        self.user = {}
        if os.getuid() == 0:
            self.user = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
            for folder in (self.empty, self.said, self.runtime):
                os.chown(folder, NOBODY, NOBODY)
        # No MSF_RUN_DIR and no MSF_LOG_DIR: the places are the ones an ordinary user gets.
        self.house.env = {"PATH": os.environ["PATH"], "XDG_RUNTIME_DIR": str(self.runtime)}

    def start(self, name):
        """A program without arguments in the empty folder, as the ordinary user."""
        with open(self.said / name, "a") as out:
            child = self.house.start([self.tree / "bin" / name], cwd=self.empty, stdout=out, stderr=out, **self.user)
        return child

    def text(self, name):
        return (self.said / name).read_text(errors="replace")

    def log(self, name):
        return (self.runtime / f"msf/log/{name}.log").read_text(errors="replace")

    def says(self, name, text, patience=10.0):
        wait_for(f"{name} saying {text!r}", lambda: text in self.text(name), patience)

    def settle(self):
        """The whole trio, talking."""
        trio = [self.start(name) for name in ("msf_agent", "msf_upnp", "msf_dlna")]
        self.says("msf_dlna", "friend name(UPNP)")
        return trio

    def end(self, *children):
        for child in children:
            child.send_signal(signal.SIGTERM)
        for child in children:
            self.assertEqual(child.wait(10), 0, child.args)

    def test_the_first_answer_comes_within_a_second(self):
        began = time.monotonic()
        trio = self.settle()
        self.assertLess(time.monotonic() - began, 1.0)
        for line in ("UPnP friend name(UPNP).", "UPnP nat enable(1).", "UPnP discovery enable(2)."):
            self.says("msf_dlna", line + "\n")
            wait_for(f"the log to have {line!r}", lambda: line in self.log("msf_dlna"))
        self.end(*reversed(trio))

    def test_set_and_get_go_on_every_two_seconds(self):
        trio = self.settle()
        seen = []
        while len(seen) < 3:
            count = len(seen)
            wait_for("the next set", lambda: self.text("msf_upnp").count("@@@@UPnP set") > count, 3)
            seen.append(time.monotonic())
        for before, after in zip(seen, seen[1:]):
            self.assertAlmostEqual(after - before, 2.0, delta=0.4)
        self.says("msf_dlna", "UPnP friend name(DLNA).")
        self.assertRegex(self.text("msf_dlna"),
                         r"DLNA ack service callback data\(0x[0-9a-f]+\) len\(36\) cmd\(0x26\)\.\n")
        line = "@@@@UPnP set: friend name(DLNA) nat enable(1) discovery enable(2)."
        wait_for("the log to have the values", lambda: line in self.log("msf_upnp"))
        self.end(*reversed(trio))

    def test_usage_is_two_lines_and_anything_else_is_refused(self):
        for name in ("msf_upnp", "msf_dlna"):
            done = self.house.call([self.tree / "bin" / name, "-h"])
            self.assertEqual((done.returncode, done.stderr, len(done.stdout.splitlines())), (0, "", 2))
            for words in (["stray"], ["-c", "x"]):
                done = self.house.call([self.tree / "bin" / name, *words])
                self.assertEqual((done.returncode, done.stdout), (2, ""))
                self.assertIn(f'unexpected argument "{words[-1]}"', done.stderr)

    def test_sigterm_ends_whoever_waits_for_an_agent(self):
        for name, line in (("msf_upnp", "UPnP ends"), ("msf_dlna", "DLNA ends")):
            child = self.start(name)
            wait_for("its log", lambda: (self.runtime / f"msf/log/{name}.log").exists())
            began = time.monotonic()
            self.end(child)
            self.assertLess(time.monotonic() - began, 2.5)
            self.assertIn(line, self.text(name))

    def test_the_order_of_starting_does_not_matter(self):
        dlna = self.start("msf_dlna")
        self.says("msf_dlna", "slab[0]")
        agent = self.start("msf_agent")
        self.says("msf_dlna", "UPnP does not answer yet (offline)")
        upnp = self.start("msf_upnp")
        self.says("msf_dlna", "friend name(UPNP)", 2)
        self.end(dlna, upnp, agent)

    def test_the_pool_hands_out_distinct_buffers_and_shows_two_in_use(self):
        trio = self.settle()
        text = self.text("msf_dlna")
        addresses = re.findall(r"DLNA buffer \d at (0x[0-9a-f]+), 8192 bytes", text)
        self.assertEqual(len(set(addresses)), 3, text)
        self.assertRegex(text, r"slab\[0\]: size:16384, used:2,")
        self.end(*reversed(trio))

    def test_a_killed_agent_is_used_again_when_it_is_back(self):
        agent, upnp, dlna = self.settle()
        agent.send_signal(signal.SIGKILL)
        agent.wait(10)
        agent = self.start("msf_agent")
        sets = self.text("msf_upnp").count("@@@@UPnP set")
        wait_for("sets after the kill", lambda: self.text("msf_upnp").count("@@@@UPnP set") > sets + 1)
        self.end(dlna, upnp, agent)

    def test_a_caller_waits_for_a_service_that_was_killed(self):
        agent, upnp, dlna = self.settle()
        upnp.send_signal(signal.SIGKILL)
        upnp.wait(10)
        upnp = self.start("msf_upnp")
        self.says("msf_upnp", "friend name(DLNA)")
        self.end(dlna, upnp, agent)

    def test_nothing_is_left_behind(self):
        trio = self.settle()
        self.end(*reversed(trio))
        self.assertTrue(all(gone(child.pid) for child in trio))
        self.assertEqual(list(self.empty.iterdir()), [], "the folder they ran in stays empty")
        left = [path.name for path in (self.runtime / "msf").iterdir()]
        self.assertEqual(left, ["log"])
        self.assertEqual(sorted(path.name for path in (self.runtime / "msf/log").iterdir())[-2:],
                         ["msf_dlna.log", "msf_upnp.log"])

    def test_sigterm_ends_a_service_that_nobody_answers(self):
        agent = self.start("msf_agent")
        dlna = self.start("msf_dlna")
        self.says("msf_dlna", "UPnP does not answer yet")
        self.end(dlna, agent)

    def test_without_an_agent_the_reason_is_told(self):
        self.house.env["MSF_AGENT_WAIT_MS"] = "200"
        upnp = self.start("msf_upnp")
        self.assertEqual(upnp.wait(10), 1)
        self.assertIn("msf_upnp: cannot log in to msf_agent: ", self.text("msf_upnp"))


if __name__ == "__main__":
    unittest.main()
