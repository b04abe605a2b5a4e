"""The units as they are installed, under a real systemd where one can run; see test/system/real_systemd.py."""

import functools
import json
import shutil
import signal
import socket
import tempfile
import unittest
from pathlib import Path

import real_systemd
from house import HERE, ROOT, STAGE, wait_for

WHY_NOT = real_systemd.why_not()
PYTHON = shutil.which("python3", path="/usr/bin")
UNITS = ROOT / "script/systemd"
SLOW = "trap 'sleep 2.5; exit 0' TERM; echo > {up}; while :; do sleep 1000 & wait; done"


def unit(name, conf):
    """As build.py install fills it in."""
    text = (UNITS / f"{name}.in").read_text()
    for key, value in {"PREFIX": "/usr", "BINDIR": STAGE / "bin", "SYSCONFDIR": conf}.items():
        text = text.replace(f"@{key}@", str(value))
    return text


@unittest.skipIf(WHY_NOT, WHY_NOT)
class Real(unittest.TestCase):
    LONG = True

    @classmethod
    def setUpClass(cls):
        cls.folder = Path(tempfile.mkdtemp(prefix="msf_systemd_"))
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        conf = cls.folder / "conf"
        conf.mkdir()
        try:
            cls.systemd = real_systemd.Systemd(cls.folder / "root", cls.folder / "log", conf, STAGE)
        except RuntimeError as why:
            raise unittest.SkipTest(f"systemd does not run in namespaces here: {why}") from None
        cls.addClassCleanup(cls.systemd.end)
        cls.file = conf / "msf_daemon.json"
        cls.conf = conf

    def tearDown(self):
        self.systemd.inside("systemctl", "stop", "msf_daemon.service", "msf_agent.service")

    def configure(self, *processes, **changes):
        document = {"msf_author": "a", "msf_version": "v", "msf_desc": "d", "stop_timeout_ms": 8000,
                    "msf_procs": list(processes), **changes}
        self.file.write_text(json.dumps(document))

    def sleeper(self, name, **changes):
        return {"proc_idx": 0, "proc_name": name, "proc_path": "sleep", "args": ["1000"], **changes}

    def start(self, **changes):
        self.systemd.unit("msf_daemon.service", unit("msf_daemon.service", self.conf), **changes)
        done = self.systemd.inside("systemctl", "start", "msf_daemon.service")
        self.assertEqual(done.returncode, 0, done.stderr + self.said())

    def said(self):
        return (self.folder / "log").read_text()[-2000:]

    def show(self, key):
        return self.systemd.show("msf_daemon.service", key)

    def pids(self):
        done = self.systemd.inside("env", "MSF_RUN_DIR=/run/msf", STAGE / "bin/msf_daemon", "status", "--json")
        return {one["name"]: one["pid"] for one in json.loads(done.stdout)["processes"]} if done.returncode == 0 else {}

    def kill(self, number):
        """The daemon, by the pid it has in there."""
        pid = self.show("MainPID")
        done = self.systemd.inside("kill", f"-{int(number)}", pid)
        self.assertEqual(done.returncode, 0, done.stderr)
        return pid

    def alive(self, pid):
        return self.systemd.inside("kill", "-0", str(pid)).returncode == 0

    def test_start_status_reload_and_stop(self):
        self.configure(self.sleeper("one"))
        self.start()
        self.assertEqual(self.show("ActiveState"), "active")
        self.assertEqual(self.show("StatusText"), "1 of 1 up")
        one = self.pids()["one"]
        self.configure(self.sleeper("one"), self.sleeper("two"))
        self.assertEqual(self.systemd.inside("systemctl", "reload", "msf_daemon.service").returncode, 0)
        pids = self.pids()
        self.assertEqual((pids["one"], set(pids)), (one, {"one", "two"}))
        self.file.write_text("{")
        self.assertNotEqual(self.systemd.inside("systemctl", "reload", "msf_daemon.service").returncode, 0)
        self.assertEqual((self.show("ActiveState"), self.pids()), ("active", pids))
        wait_for("the line", lambda: "not reloaded" in self.show("StatusText"))
        self.assertEqual(self.systemd.inside("systemctl", "stop", "msf_daemon.service").returncode, 0)
        self.assertEqual((self.show("ActiveState"), self.show("Result")), ("inactive", "success"))
        self.assertFalse(any(self.alive(pid) for pid in pids.values()))

    def test_a_killed_daemon_comes_back_and_finds_everybody_running(self):
        self.configure(self.sleeper("one"), self.sleeper("two"))
        self.start()
        before, daemon = self.pids(), self.kill(signal.SIGKILL)
        wait_for("the next daemon", lambda: self.show("MainPID") not in ("0", daemon) and self.show("ActiveState") == "active")
        self.assertEqual(self.pids(), before)
        self.assertEqual(self.show("NRestarts"), "1")
        self.assertEqual(self.systemd.inside("systemctl", "stop", "msf_daemon.service").returncode, 0)
        self.assertFalse(any(self.alive(pid) for pid in before.values()))

    def test_a_daemon_that_hangs_is_replaced(self):
        self.configure(self.sleeper("one"))
        self.start(WatchdogSec=1, TimeoutAbortSec=1)
        before = self.pids()
        wait_for("beats", lambda: self.show("WatchdogTimestampMonotonic") not in ("", "0"))
        daemon = self.kill(signal.SIGSTOP)
        wait_for("the next daemon", lambda: self.show("MainPID") not in ("0", daemon) and self.show("ActiveState") == "active", 20)
        self.assertEqual(self.pids(), before)

    def test_systemd_is_patient_with_processes_that_take_their_time(self):
        up = self.conf / "up"
        slow = self.sleeper("slow", proc_path="/bin/sh", args=["-c", SLOW.format(up=up)])
        self.configure(slow)
        self.start(TimeoutStopSec="1s")
        wait_for("it listens", up.exists)
        pid = self.pids()["slow"]
        self.assertEqual(self.systemd.inside("systemctl", "stop", "msf_daemon.service").returncode, 0)
        self.assertEqual(self.show("Result"), "success")
        self.assertFalse(self.alive(pid))

    def test_a_configuration_that_cannot_be_used_is_not_tried_again(self):
        self.file.write_text('{"msf_procs": 1}')
        self.systemd.unit("msf_daemon.service", unit("msf_daemon.service", self.conf))
        self.assertNotEqual(self.systemd.inside("systemctl", "start", "msf_daemon.service").returncode, 0)
        self.assertEqual((self.show("ActiveState"), self.show("ExecMainStatus"), self.show("NRestarts")), ("failed", "2", "0"))
        self.assertIn("msf_procs", self.show("StatusText"))
        self.assertEqual(self.show("StatusErrno"), "22")


    @unittest.skipUnless(PYTHON, "there is no python3 in /usr/bin")
    def test_listening_sockets_survive_the_death_of_everybody(self):
        shutil.copy(HERE / "activated_server.py", self.conf)
        with socket.create_server(("127.0.0.1", 0)) as one:
            address = one.getsockname()
        server = self.sleeper("web", proc_path=PYTHON, args=["-SE", str(self.conf / "activated_server.py")],
                              ready={"by": "fd"}, sockets=[{"name": "web", "listen": "%s:%d" % address}])
        self.configure(server)
        self.start()
        first = self.ask(address)
        wait_for("the store", lambda: self.show("NFileDescriptorStore") == "1")
        web, daemon = self.pids()["web"], self.kill(signal.SIGSTOP)
        self.systemd.inside("kill", "-9", str(web), daemon)
        # Nobody is there, or somebody else is already; in either case nobody is refused.
        last = self.ask(address)
        self.assertEqual(last["inodes"], first["inodes"])
        self.assertNotEqual(last["pid"], first["pid"])
        self.assertEqual(self.show("NFileDescriptorStore"), "1")

    def ask(self, address):
        with socket.create_connection(address, 20) as caller:
            return json.loads(caller.makefile().readline())

    def test_a_broker_that_is_upgraded_stays_the_main_process_and_goes_on_beating(self):
        (self.conf / "msf_agent.conf").write_text("net_enable=false\nnmid_enable=false\nhttp_enable=false\n")
        self.systemd.unit("msf_agent.service", unit("msf_agent.service", self.conf), WatchdogSec=1,
                          PrivateTmp="no", ProtectHome="no")
        self.assertEqual(self.systemd.inside("systemctl", "start", "msf_agent.service").returncode, 0, self.said())
        show = functools.partial(self.systemd.show, "msf_agent.service")
        before = show("MainPID")
        done = self.systemd.inside("env", "MSF_RUN_DIR=/run/msf", STAGE / "bin/msf_agent", "-k", "upgrade",
                                   "-c", self.conf / "msf_agent.conf")
        self.assertEqual(done.returncode, 0, done.stderr)
        wait_for("the successor", lambda: show("MainPID") != before)
        told = show("WatchdogTimestampMonotonic")
        wait_for("its heart", lambda: int(show("WatchdogTimestampMonotonic")) > int(told) + 1500000)
        self.assertEqual((show("ActiveState"), show("NRestarts")), ("active", "0"))
        self.assertEqual(self.systemd.inside("systemctl", "stop", "msf_agent.service").returncode, 0)
        # systemd does not wait for one that is not its child: on legacy control groups it would kill it right behind SIGTERM.
        self.assertNotIn("not one of our children", (self.folder / "log").read_text())
        self.assertEqual(show("Result"), "success")


if __name__ == "__main__":
    unittest.main()
