"""What the seed and the documentation show: the two demo plugins with a real agent, the plugin of doc/shell.md."""

import re
import signal
import time
import unittest

from house import ROOT, STAGE, wait_for
from shells import ShellCase


class Documentation(ShellCase):
    def test_the_plugin_of_doc_shell_md_builds_as_written_and_runs(self):
        text = (ROOT / "doc/shell.md").read_text()
        (self.house.folder / "hello.c").write_text(re.search(r"```c\n(.*?)```", text, re.S)[1])
        line = re.search(r"^gcc .*\$STAGE.*$", text, re.M)[0]
        self.house.env["STAGE"] = str(STAGE)
        done = self.house.call(["sh", "-c", line])
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        child = self.shell(self.config({"svc_name": "hello", "svc_libs": "libhello.so"}))
        self.assertEqual(self.house.end(child)[0], 0)
        self.assertIn("good bye", self.house.text("msf_shell.trial.log"))


class SeedPair(ShellCase):
    """The seed's own file, byte for byte, with a real agent."""

    ALONE = "a call is answered within a second of the agent's death"
    CONFIG = ROOT / "script/config/msf_agent_svc.json"
    LOG = "msf_shell.msf_agent.log"

    def answered(self):
        return [int(number) for number in re.findall(r"\[AGENT2\].* call (\d+) answered", self.house.text(self.LOG))]

    def test_agent2_calls_agent1_every_second_and_within_a_second_of_the_agents_death(self):
        agent = self.house.agent()
        shell = self.shell(self.CONFIG)
        wait_for("three answers", lambda: len(self.answered()) >= 3)
        self.assertEqual(self.answered()[:3], [1, 2, 3])
        text = self.house.text(self.LOG)
        for line in ("init", "start"):
            for name in ("msf_agent1", "msf_agent2"):
                self.assertRegex(text, rf"service {name}: {line}\[pid:{shell.pid},")

        # Half a second before the next call, so that the second it waits by itself does not hide the recovery.
        middle = time.monotonic() + 0.5
        wait_for("the middle of the second", lambda: time.monotonic() > middle)
        agent.kill()
        killed = time.monotonic()
        agent.wait()
        before = len(self.answered())
        agent = self.house.agent()
        wait_for("an answer after the kill", lambda: len(self.answered()) > before)
        self.assertLess(time.monotonic() - killed, 1.0)

        status, _, err = self.house.end(shell)
        self.assertEqual(status, 0, err)
        self.assertIn("logged out after", self.house.text(self.LOG))
        self.assertEqual(self.house.end(agent)[0], 0)

    def test_calls_go_on_as_soon_as_a_missing_agent_is_back(self):
        agent = self.house.agent()
        shell = self.shell(self.CONFIG)
        wait_for("an answer", self.answered)
        self.house.end(agent, signal.SIGKILL)
        wait_for("the failure in the log", lambda: "retrying every" in self.house.text(self.LOG))
        before = len(self.answered())
        agent = self.house.agent()
        back = time.monotonic()
        wait_for("an answer", lambda: len(self.answered()) > before)
        self.assertLess(time.monotonic() - back, 5, "libipc backs off to two seconds")
        self.assertIn("answered again", self.house.text(self.LOG))
        self.assertEqual(self.house.end(shell)[0], 0)
        self.house.end(agent)

    def test_without_an_agent_the_shell_fails_and_says_so(self):
        self.house.env["MSF_AGENT_WAIT_MS"] = "100"
        done = self.fails(self.CONFIG, 1, "service msf_agent1: init failed")
        self.assertIn("cannot log in to msf_agent as 0x31", done.stderr)

    def test_agent2_alone_in_a_process_has_a_client_of_its_own(self):
        agent = self.house.agent()
        entries = {name: {"svc_name": name, "svc_libs": f"lib{name}.so"} for name in ("msf_agent1", "msf_agent2")}
        caller = self.shell(self.config(entries["msf_agent2"], proc_name="caller", name="caller.json"))
        server = self.shell(self.config(entries["msf_agent1"], proc_name="server", name="server.json"))
        wait_for("an answer", lambda: "call 1 answered" in self.house.text("msf_shell.caller.log"))
        self.assertIn("through its own client", self.house.text("msf_shell.caller.log"))
        for child in (caller, server, agent):
            self.assertEqual(self.house.end(child)[0], 0)

    def test_agent1_behind_another_owner_of_the_client_is_refused(self):
        agent = self.house.agent()
        config = self.config({"svc_name": "msf_agent2", "svc_libs": "libmsf_agent2.so"},
                             {"svc_name": "msf_agent1", "svc_libs": "libmsf_agent1.so"})
        done = self.fails(config, 1, "service msf_agent1: init failed")
        self.assertIn("list msf_agent1 before it", done.stderr)
        self.house.end(agent)


if __name__ == "__main__":
    unittest.main()
