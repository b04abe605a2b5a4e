"""msf_agent below a service manager and below msf_daemon: readiness, heartbeats, listening sockets it is given."""

import os
import signal
import socket
import struct
import unittest
from pathlib import Path

from house import House, gone, program
from manager import Manager
from test_daemon_attacks import DaemonCase


#: As service 0x31, by the name "A".
LOGIN = struct.pack("<14I", 0x100, 0x12345678, 0x31, 0xfffffff1, 1, 1, 7, 0, 68, 0, 0, 1000, 0, 0) + b"A".ljust(68, b"\0")


def free_address():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()


def listening_inodes(pid):
    """Of all sockets of a process."""
    found = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            to = os.readlink(entry)
        except OSError:
            continue
        if to.startswith("socket:["):
            found.add(int(to[8:-1]))
    return found


class Agent(unittest.TestCase):
    def setUp(self):
        self.house = House(self)
        self.conf = self.house.folder / "a.conf"

    def manage(self, text, **options):
        self.conf.write_text(text)
        command = [program("msf_agent"), "-c", self.conf]
        return Manager(self, command, self.house.env, self.house.folder, self.house.folder / "notify", **options)

    def test_it_takes_the_sockets_that_listen_where_it_would_and_leaves_files_that_are_not_its_own(self):
        http = socket.create_server(("127.0.0.1", 0))
        unix = socket.socket(socket.AF_UNIX)
        unix.bind(str(self.house.run / "msf_agent.sock"))
        unix.listen()
        stranger = socket.create_server(("127.0.0.1", 0))
        manager = self.manage("net_enable=false\nnmid_enable=false\nmetrics_enable=false\n"
                              f"http_enable=true\nhttp_ip=127.0.0.1\nhttp_port={http.getsockname()[1]}\n")
        manager.listening += [("a.socket", http), ("b.socket", unix), ("c.socket", stranger)]
        with socket.create_connection(http.getsockname()) as early:
            manager.start()
            manager.until_ready()
            ours = listening_inodes(manager.pid)
            self.assertLessEqual({os.fstat(one.fileno()).st_ino for one in (http, unix)}, ours)
            self.assertNotIn(os.fstat(stranger.fileno()).st_ino, ours)
            self.assertIn('descriptor "c.socket" was given to us', self.house.text("msf_agent.log"))
            # Whoever came before it was there is served.
            early.settimeout(20)
            early.sendall(b"GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n")
            self.assertTrue(early.recv(64).startswith(b"HTTP/1.1 "))
        self.assertEqual(manager.stop(), 0)
        self.assertTrue((self.house.run / "msf_agent.sock").exists())

    def test_a_reload_and_the_end_are_told(self):
        manager = self.manage("net_enable=false\nnmid_enable=false\nhttp_enable=false\nmetrics_enable=false\n")
        manager.start()
        manager.until_ready()
        manager.reload()
        self.conf.write_text("nonsense=1\ntcp_port=x\n")
        manager.reload()
        self.assertEqual(manager.stop(), 0)
        self.assertIn("STOPPING=1", manager.told)

    def test_it_beats_when_asked_and_an_upgrade_keeps_beating(self):
        manager = self.manage("net_enable=false\nnmid_enable=false\nhttp_enable=false\nmetrics_enable=false\n", watchdog=1)
        manager.start()
        manager.until_ready()
        manager.until("beats", lambda: len(manager.beats) >= 2)
        before = manager.pid
        done = self.house.start([program("msf_agent"), "-k", "upgrade", "-c", self.conf])
        manager.until("another main process", lambda: manager.pid != before)
        manager.until("the former one's end", lambda: gone(before))
        count = len(manager.beats)
        manager.until("beats of the new one", lambda: len(manager.beats) >= count + 3)
        self.assertEqual(done.wait(20), 0)
        self.assertIsNone(manager.killed_by_us)
        os.kill(manager.pid, signal.SIGTERM)
        manager.until("its end", lambda: manager.pid is None)


class Below(DaemonCase):
    def test_the_daemon_holds_its_listeners_and_nobody_is_refused_over_its_death(self):
        address = free_address()
        (self.house.folder / "a.conf").write_text(
            "net_enable=false\nnmid_enable=false\nmetrics_enable=false\n"
            f"http_enable=true\nhttp_ip=127.0.0.1\nhttp_port={address[1]}\n")
        unix = self.house.run / "msf_agent.sock"
        self.configure(self.command("agent", str(program("msf_agent")), proc_conf="a.conf", ready={"by": "fd"},
                                    sockets=[{"name": "http", "listen": "%s:%d" % address},
                                             {"name": "librpc", "unix": str(unix), "mode": "0666"}]))
        daemon = self.start()
        self.assertEqual(self.call("wait", "agent", "--ready", "--timeout", "20").returncode, 0)
        for _ in range(5):
            os.kill(self.status("agent")["pid"], signal.SIGKILL)
            self.served(address, unix)
        # A successor gets the same sockets twice: of the old one, and of the daemon.
        self.assertEqual(self.call("upgrade", "agent").returncode, 0)
        self.served(address, unix)
        os.kill(self.status("agent")["pid"], signal.SIGKILL)
        self.served(address, unix)
        self.assertNotIn("was given to us", self.house.text("msf_agent.log"))
        self.ends(daemon)
        self.assertFalse(unix.exists())

    def served(self, address, unix):
        """Whoever connects, be the agent there or not, and waits."""
        with socket.create_connection(address, 20) as caller, socket.socket(socket.AF_UNIX) as member:
            member.settimeout(20)
            member.connect(str(unix))
            caller.sendall(b"GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n")
            member.sendall(LOGIN)
            self.assertTrue(caller.recv(64).startswith(b"HTTP/1.1 "))
            answer = struct.unpack("<14I", member.recv(56, socket.MSG_WAITALL))
            self.assertEqual((answer[4], answer[5], answer[7]), (2, 1, 0))


if __name__ == "__main__":
    unittest.main()
