"""msf_shell -d: returns when every service is started, or says why not."""

import os
import signal
import unittest
from pathlib import Path

from house import gone, program, wait_for
from shells import ShellCase


class Detach(ShellCase):
    def test_detaches(self):
        config = self.config(self.plugin("a"))
        done = self.call("-d", "-c", config)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))
        pid = int(wait_for("the pid", lambda: (self.house.run / "msf_shell.trial.pid").read_text().strip()))
        self.addCleanup(lambda: gone(pid) or os.kill(pid, signal.SIGKILL))
        wait_for("the start", lambda: "a.start" in self.diary())
        self.assertEqual(os.getsid(pid) == os.getsid(0), False)
        self.assertEqual(self.call("-k", "shutdown", "-c", config).returncode, 0)
        wait_for("the end", lambda: gone(pid))
        self.assertEqual(self.diary()[-1], "a.deinit")

    def test_returns_when_every_service_is_started(self):
        config = self.config(self.plugin("a"), self.plugin("b", "SLOW_INIT"))
        done = self.call("-d", "-c", config)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))
        self.assertEqual(self.diary()[-1], "b.start")
        pid = int((self.house.run / "msf_shell.trial.pid").read_text())
        self.addCleanup(lambda: gone(pid) or os.kill(pid, signal.SIGKILL))
        self.assertEqual([os.readlink(f"/proc/{pid}/fd/{fd}") for fd in (0, 1, 2)], ["/dev/null"] * 3)
        self.assertEqual((Path(f"/proc/{pid}/comm").read_text(), os.getsid(pid) == os.getsid(0)), ("msf_shell\n", False))
        os.kill(pid, signal.SIGTERM)
        wait_for("the end", lambda: gone(pid))

    def test_tells_of_a_service_that_fails(self):
        a = self.plugin("a")
        missing = {"svc_name": "m", "svc_libs": "libm_not_there.so"}
        for bad, sentence in ((self.plugin("b", "FAIL_START"), "service b: start failed, it returned -7"),
                              (missing, 'service m: no library "libm_not_there.so"')):
            done = self.call("-d", "-c", self.config(a, bad))
            self.assertEqual((done.returncode, done.stdout), (1, ""), done.stderr)
            self.assertIn(sentence, done.stderr)
            self.assertEqual(list(self.house.run.glob("*.pid")), [])

    def test_tells_of_a_start_that_ends_without_a_word(self):
        config = self.config(self.plugin("a", "SLOW_INIT"))
        caller = self.house.start([program("msf_shell"), "-d", "-c", config])
        wait_for("init", lambda: "a.init begins" in self.diary())
        os.kill(int((self.house.run / "msf_shell.trial.pid").read_text()), signal.SIGKILL)
        _, said = caller.communicate(timeout=10)
        self.assertEqual(caller.returncode, 1, said)
        self.assertIn("trial has ended before its services were started", said)

    def test_told_to_stop_early_is_no_success(self):
        config = self.config(self.plugin("a", "SLOW_INIT"))
        caller = self.house.start([program("msf_shell"), "-d", "-c", config])
        wait_for("init", lambda: "a.init begins" in self.diary())
        os.kill(int((self.house.run / "msf_shell.trial.pid").read_text()), signal.SIGTERM)
        _, said = caller.communicate(timeout=10)
        self.assertEqual(caller.returncode, 1, said)
        self.assertIn("told to stop before every service was started", said)

    def test_refuses_a_second_copy_before_it_detaches(self):
        config = self.config(self.plugin("a"))
        child = self.shell(config)
        done = self.call("-d", "-c", config)
        self.assertEqual(done.returncode, 1)
        self.assertIn(f"pid {child.pid}", done.stderr)
        self.house.end(child)


if __name__ == "__main__":
    unittest.main()
