"""msf_daemon under bad input: files that are none, folders that go away, peers that misbehave."""

import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import unittest
from pathlib import Path

from house import PATIENCE, House, program, wait_for

NOBODY = 65534
QUICK = {"immediate": 3, "delay_ms": 20, "delay_max_ms": 100}


def others_run_it():
    """Whether we can be somebody else, and he can reach the programs."""
    try:
        return subprocess.run([program("msf_daemon"), "-v"], user=NOBODY, stdout=subprocess.DEVNULL, check=False).returncode == 0
    except OSError:
        return False


AS_ROOT = unittest.skipUnless(os.geteuid() == 0 and others_run_it(), "needs root, and programs that others may run")


class DaemonCase(unittest.TestCase):
    def setUp(self):
        self.house = House(self)
        self.addCleanup(self.end_children)
        self.file = self.house.folder / "d.json"
        self.socket = self.house.run / "msf_daemon.sock"

    def end_children(self):
        """A daemon that failed its test may have left processes; they are known by their working directory."""
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and os.readlink(entry / "cwd").startswith(str(self.house.folder)):
                    os.kill(int(entry.name), signal.SIGKILL)
            except OSError:
                pass

    def document(self, *processes, **changes):
        return {"msf_author": "a", "msf_version": "v", "msf_desc": "d", "restart": QUICK, "stop_timeout_ms": 500,
                "msf_procs": list(processes), **changes}

    def configure(self, *processes, **changes):
        self.file.write_text(json.dumps(self.document(*processes, **changes)))

    def command(self, name, *words, **changes):
        return {"proc_idx": 0, "proc_name": name, "proc_path": words[0], "args": list(words[1:]), **changes}

    def script(self, name, text, **changes):
        return self.command(name, "/bin/sh", "-c", text, **changes)

    def sleeper(self, name="one"):
        return self.command(name, "sleep", "1000")

    def start(self, *words, **options):
        daemon = self.house.start([program("msf_daemon"), "-c", self.file, *words], stdout=subprocess.DEVNULL, **options)
        wait_for("an answer", lambda: daemon.poll() is not None or self.call("status").returncode == 0)
        return daemon

    def call(self, *words, **options):
        return self.house.call([program("msf_daemon"), *words], **options)

    def status(self, name=None):
        done = self.call("status", "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        document = json.loads(done.stdout)
        if name is None:
            return document
        return next((process for process in document["processes"] if process["name"] == name), None)

    def log(self):
        return self.house.text("msf_daemon.log")

    def ends(self, daemon, sign=signal.SIGTERM):
        """The daemon ends as it should, and leaves nothing in the run directory."""
        daemon.send_signal(sign)
        self.assertEqual(daemon.wait(PATIENCE), 0, self.log())
        self.assertEqual(list(self.house.run.glob("msf_daemon.*")), [])

    def knock(self):
        peer = socket.socket(socket.AF_UNIX)
        self.addCleanup(peer.close)
        peer.settimeout(5)
        peer.connect(str(self.socket))
        return peer


class Files(DaemonCase):
    def refused(self, path, code, *said, **options):
        done = self.call("-c", path, timeout=5, **options)
        self.assertEqual(done.returncode, code, done.stderr)
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        for word in said:
            self.assertIn(str(word), done.stderr)

    def test_regress_what_is_no_file_is_no_configuration(self):
        fifo, loop = self.house.folder / "fifo", self.house.folder / "loop"
        os.mkfifo(fifo)
        loop.symlink_to("loop")
        for path, said in ((fifo, "is a pipe"), (loop, "Too many levels"), ("/dev/zero", "is a device"),
                           (self.house.folder, "is a folder"), (self.house.folder / "no", "No such file")):
            self.refused(path, 2, path, said)

    @AS_ROOT
    def test_a_file_that_may_not_be_read_is_named(self):
        self.configure(self.sleeper())
        self.file.chmod(0o600)
        self.refused(self.file, 2, self.file, "Permission denied", user=NOBODY)

    def test_regress_an_empty_name_is_wrong_usage(self):
        self.refused("", 2, "-c")

    def test_text_that_is_no_configuration_is_refused_with_its_place(self):
        for text, said in ((b"", "not JSON"), (b"\xff\xfe{}", "byte 0 is not UTF-8"), (b"{}\0", "not JSON"),
                           (b'{"msf_procs": 1, "msf_procs": 2}', '"msf_procs" is written twice'),
                           (b"[" * 100000, "recursion limit"), (b"[]", "expected an object")):
            self.file.write_bytes(text)
            self.refused(self.file, 2, self.file, said)

    def test_regress_a_broken_file_keeps_nobody_from_asking_and_stopping(self):
        self.configure(self.sleeper())
        daemon = self.start()
        self.file.write_text("{")
        self.assertEqual(self.call("status", "-c", self.file).returncode, 0)
        self.assertEqual(self.call("-k", "reload", "-c", self.file).returncode, 1)
        self.assertEqual(self.call("-k", "shutdown", "-c", self.file).returncode, 0)
        self.assertEqual(daemon.wait(5), 0)

    def test_regress_line_breaks_break_neither_the_log_nor_the_table(self):
        for key in ("proc_path", "proc_conf", "working_directory"):
            self.configure({**self.sleeper(), key: "a\nb"})
            self.refused(self.file, 2, f"msf_procs[0].{key}", "control character '\\n'")
        self.configure(self.command("one", "/nowhere", "a\nb", env={"A": "a\nb"}), msf_desc="x\ny")
        daemon = self.start()
        self.assertEqual([line for line in self.log().splitlines() if not line.startswith("[2")], [])
        table = self.call("status").stdout
        self.assertEqual(len(table.splitlines()), 3, table)
        self.ends(daemon)

    def test_names_of_all_kinds_are_names(self):
        names = ("漢字", "a b", "%s%n%d", "$(exit)", "'\"\\")
        self.configure(*map(self.sleeper, names))
        daemon = self.start()
        self.assertEqual([process["name"] for process in self.status()["processes"]], list(names))
        self.ends(daemon)

    def test_the_same_name_twice_is_refused(self):
        self.configure(self.sleeper(), self.sleeper())
        self.refused(self.file, 2, "msf_procs[1].proc_name", "names are unique")

    def test_relative_paths_are_taken_from_the_files_folder_whatever_the_current_one(self):
        folder = self.house.folder / "deep"
        folder.mkdir()
        tool = folder / "tool"
        tool.write_text("#!/bin/sh\necho $@ > new; pwd >> new; mv new told\nexec sleep 1000\n")
        tool.chmod(0o755)
        self.configure(self.command("tool", "./deep/tool", "x", proc_conf="deep/x.json", working_directory="deep"))
        daemon = self.house.start([program("msf_daemon"), "-c", "../d.json"], cwd=folder)
        told = wait_for("the tool", lambda: (folder / "told").exists() and (folder / "told").read_text().split())
        self.assertEqual((told[0], Path(told[1]).resolve(), told[2:]), ("-c", folder / "x.json", ["x", str(folder)]))
        self.ends(daemon)

    def test_names_longer_than_the_originals_are_names(self):
        name = "n" * 200
        self.configure(self.sleeper(name))
        daemon = self.start()
        self.assertEqual(self.status(name)["state"], "up")
        self.ends(daemon)


class Places(DaemonCase):
    def fails(self, *said, **options):
        self.configure(self.sleeper())
        self.file.chmod(0o644)
        done = self.call("-c", self.file, timeout=5, **options)
        self.assertEqual(done.returncode, 1, done.stderr)
        for word in said:
            self.assertIn(str(word), done.stderr)

    @AS_ROOT
    def test_a_run_directory_that_may_not_be_written_is_named(self):
        self.house.run.chmod(0o755)
        self.fails(self.house.run, user=NOBODY)

    def test_a_run_directory_everybody_may_write_is_refused(self):
        self.house.run.chmod(0o777)
        self.fails(self.house.run, "0777")

    @AS_ROOT
    def test_somebody_elses_run_directory_is_refused(self):
        os.chown(self.house.run, 4711, 4711)
        self.fails(self.house.run, "user 4711 owns it")

    @AS_ROOT
    def test_a_full_run_directory_is_an_error_and_leaves_nothing(self):
        if self.house.call(["mount", "-t", "tmpfs", "-o", "size=4k,nr_inodes=2,mode=700", "none", self.house.run]).returncode:
            self.skipTest("no file system can be mounted here")
        self.addCleanup(self.house.call, ["umount", self.house.run])
        self.fails(self.house.run, "No space left")
        self.assertEqual(list(self.house.run.glob("*.pid*")), [])

    def test_regress_a_path_too_long_for_a_socket_is_named(self):
        self.house.env["MSF_RUN_DIR"] = str(self.house.folder / ("x" * 120))
        self.fails("msf_daemon.sock")

    def test_a_run_directory_that_goes_away_ends_nobody(self):
        self.configure(self.sleeper())
        daemon = self.start()
        shutil.rmtree(self.house.run)
        self.assertIn("no msf_daemon is running", self.call("status").stderr)
        daemon.send_signal(signal.SIGHUP)
        daemon.send_signal(signal.SIGTERM)
        self.assertEqual(daemon.wait(10), 0)

    def test_what_a_dead_daemon_left_is_taken_over(self):
        self.configure(self.sleeper())
        (self.house.run / "msf_daemon.lock").write_text("")
        (self.house.run / "msf_daemon.pid").write_text("1\n")
        dead = socket.socket(socket.AF_UNIX)
        dead.bind(str(self.socket))
        dead.close()
        self.ends(self.start())

    def test_regress_a_folder_where_the_socket_should_be_is_named(self):
        self.socket.mkdir()
        self.fails(self.socket)

    def test_regress_a_stale_pid_file_gets_nobody_killed(self):
        stranger = self.house.start(["sleep", "1000"])
        (self.house.run / "msf_daemon.lock").write_text("")
        (self.house.run / "msf_daemon.pid").write_text(f"{stranger.pid}\n")
        done = self.call("-k", "kill")
        self.assertEqual(done.returncode, 5)
        self.assertIn("no msf_daemon is running", done.stderr)
        self.assertIsNone(stranger.poll())

    def test_of_two_started_at_the_same_instant_one_runs(self):
        self.configure(self.sleeper())
        for _ in range(20):
            pair = [self.house.start([program("msf_daemon"), "-c", self.file]) for _ in range(2)]
            wait_for("one to be refused", lambda: any(one.poll() is not None for one in pair))
            loser, winner = sorted(pair, key=lambda one: one.poll() is None)
            self.assertEqual(loser.returncode, 1)
            self.assertIn(f"running already, as process {winner.pid}", loser.stderr.read())
            wait_for("the other's answer", lambda: self.call("status").returncode == 0)
            self.ends(winner)


class Control(DaemonCase):
    def setUp(self):
        super().setUp()
        self.configure(self.sleeper())
        self.daemon = self.start()

    def tearDown(self):
        self.ends(self.daemon)

    def answer(self, peer):
        said = b""
        try:
            while piece := peer.recv(65536):
                said += piece
        except ConnectionResetError:
            pass
        return said

    def test_garbage_gets_no_further_than_its_line(self):
        for garbage, said in ((b"\0\xff\n", b"wrong\nnot understood"), (b"\n", b"wrong\nnot understood"),
                              (b"status\r\n", b"wrong\nnot understood"), (b"x" * 5000, b""), (b"x" * 5000 + b"\n", b"")):
            peer = self.knock()
            peer.sendall(garbage)
            peer.shutdown(socket.SHUT_WR)
            self.assertTrue(self.answer(peer).startswith(said))

    def test_half_a_request_and_the_end_is_no_request(self):
        peer = self.knock()
        peer.sendall(b"shutd")
        peer.shutdown(socket.SHUT_WR)
        self.assertEqual(self.answer(peer), b"")
        self.assertEqual(self.status("one")["state"], "up")

    def test_a_request_byte_by_byte_and_a_peer_that_closes_his_side_are_answered(self):
        peer = self.knock()
        for byte in b"status\n":
            peer.sendall(bytes([byte]))
        peer.shutdown(socket.SHUT_WR)
        self.assertTrue(self.answer(peer).startswith(b"ok\nmsf_daemon pid"))

    def test_regress_a_thousand_who_say_nothing_keep_nobody_out_and_no_process_from_starting(self):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 2048)), hard))
        peers = [self.knock() for _ in range(1000)]
        self.assertEqual(self.status("one")["state"], "up")
        before = self.status("one")["pid"]
        os.kill(before, signal.SIGKILL)
        wait_for("a restart", lambda: self.status("one")["pid"] not in (None, before))
        held = len(os.listdir(f"/proc/{self.daemon.pid}/fd"))
        self.assertLess(held, 60)
        peers[0].settimeout(5)
        self.assertEqual(peers[0].recv(1), b"")

    def test_who_never_reads_is_in_nobodys_way(self):
        peers = [self.knock() for _ in range(20)]
        for peer in peers:
            peer.sendall(b"status json\n")
        for _ in range(5):
            self.assertEqual(self.status("one")["state"], "up")

    @AS_ROOT
    def test_other_users_are_not_heard(self):
        self.house.run.chmod(0o755)
        self.socket.chmod(0o666)
        said = self.call("shutdown", user=NOBODY)
        self.assertNotEqual(said.returncode, 0)
        self.assertIsNone(self.daemon.poll())
        wait_for("the log to tell", lambda: "user 65534 is not heard" in self.log())

    def test_regress_who_waits_for_the_end_learns_it_even_with_his_side_closed(self):
        peer = self.knock()
        peer.sendall(b"shutdown\n")
        peer.shutdown(socket.SHUT_WR)
        self.assertEqual(self.answer(peer), b"ok\n")
        self.assertEqual(list(self.house.run.glob("msf_daemon.*")), [])
        self.daemon = self.start()


    def flood(self, text, *words):
        """Several who never stop."""
        for _ in range(3):
            self.house.start(["python3", "-c", text, *words])

    def answers(self):
        for _ in range(5):
            self.assertEqual(self.call("status", timeout=20).returncode, 0)

    def test_regress_who_goes_on_talking_is_cut_off_and_keeps_nobody_out(self):
        self.flood("import socket, sys\nwhile True:\n  peer = socket.socket(socket.AF_UNIX)\n  peer.connect(sys.argv[1])\n"
                   "  try:\n    peer.sendall(b'wait\\tone down\\n')\n    while True: peer.sendall(b'x' * 65536)\n"
                   "  except OSError: pass\n", self.socket)
        wait_for("somebody is cut off", lambda: "goes on talking" in self.log())
        self.answers()

    def test_regress_who_floods_the_notice_board_keeps_nobody_out_and_fills_no_log(self):
        self.flood("import socket, sys\npeer = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)\npeer.connect(sys.argv[1])\n"
                   "while True: peer.send(b'STATUS=x')\n", self.house.run / "msf_daemon.notify")
        wait_for("they are heard", lambda: "is no process of ours" in self.log())
        self.answers()
        self.assertLess(self.log().count("is no process of ours"), 100)

    def test_regress_a_daemon_that_is_stopped_is_not_waited_for(self):
        self.daemon.send_signal(signal.SIGSTOP)
        done = self.call("status")
        self.daemon.send_signal(signal.SIGCONT)
        self.assertEqual(done.returncode, 1)
        self.assertIn("nothing was heard for 10s", done.stderr)


if __name__ == "__main__":
    unittest.main()
