"""msf_daemon under bad input and bad luck: files that are none, folders that go away, peers that misbehave, processes
that will not start, will not stay or will not end."""

import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import time
import unittest
from pathlib import Path

from house import House, gone, program, wait_for

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
        self.assertEqual(daemon.wait(10), 0, self.log())
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
        self.assertEqual(done.returncode, 1)
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
        for garbage, said in ((b"\0\xff\n", b"failed\nnot understood"), (b"\n", b"failed\nnot understood"),
                              (b"status\r\n", b"failed\nnot understood"), (b"x" * 5000, b""), (b"x" * 5000 + b"\n", b"")):
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
        peers = []
        for _ in range(1000):
            peers.append(self.knock())
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
        self.assertIn("user 65534 is not heard", self.log())

    def test_regress_who_waits_for_the_end_learns_it_even_with_his_side_closed(self):
        peer = self.knock()
        peer.sendall(b"shutdown\n")
        peer.shutdown(socket.SHUT_WR)
        self.assertEqual(self.answer(peer), b"ok\n")
        self.assertEqual(list(self.house.run.glob("msf_daemon.*")), [])
        self.daemon = self.start()


    def test_regress_a_daemon_that_is_stopped_is_not_waited_for(self):
        self.daemon.send_signal(signal.SIGSTOP)
        done = self.call("status")
        self.daemon.send_signal(signal.SIGCONT)
        self.assertEqual(done.returncode, 1)
        self.assertIn("nothing was heard for 10s", done.stderr)


class Processes(DaemonCase):
    def test_what_cannot_be_executed_is_told_with_its_reason(self):
        texts = {"shebangless": "echo no interpreter\n", "absent": "#!/nowhere/at/all\n", "cut": "\x7fELF"}
        for name, text in texts.items():
            (self.house.folder / name).write_text(text)
            (self.house.folder / name).chmod(0o755)
        plain = self.house.folder / "plain"
        plain.write_text("")
        plain.chmod(0o644)
        os.mkfifo(self.house.folder / "fifo", 0o755)
        busy = self.house.folder / "busy"
        shutil.copy("/bin/sleep", busy)
        writer = busy.open("r+b")
        self.addCleanup(writer.close)
        wanted = {"shebangless": "Exec format error", "absent": "No such file", "cut": "Exec format error",
                  "plain": "Permission denied", "fifo": "Permission denied", "busy": "Text file busy",
                  ".": "Permission denied", "x" * 300: "name too long"}
        self.configure(*(self.command(f"p{i}", str(self.house.folder / name)) for i, name in enumerate(wanted)),
                       self.command("long", "sleep", "1" * 200_000),
                       self.command("folder", "sleep", "1", working_directory="nowhere"), self.sleeper())
        daemon = self.start()
        for i, (name, reason) in enumerate(wanted.items()):
            self.assertIn(reason, self.status(f"p{i}")["last_exit"]["reason"], name)
        self.assertIn("Argument list too long", self.status("long")["last_exit"]["reason"])
        self.assertIn("cannot enter the working directory", self.status("folder")["last_exit"]["reason"])
        self.assertEqual(self.status("one")["state"], "up")
        self.ends(daemon)

    def test_one_that_dies_at_once_forever_costs_little(self):
        self.configure(self.script("dies", "exit 1", restart={**QUICK, "refill_ms": 86400000, "delay_max_ms": 100}))
        daemon = self.start()
        wait_for("twenty restarts", lambda: self.status("dies")["restarts"] > 20)
        spent = sum(int(field) for field in Path(f"/proc/{daemon.pid}/stat").read_text().rpartition(")")[2].split()[11:13])
        self.assertLess(spent, os.sysconf("SC_CLK_TCK"))
        self.ends(daemon)

    def test_regress_a_stderr_that_nobody_reads_stops_no_supervision(self):
        self.configure(self.script("dies", "exit 1", restart={"immediate": 1000, "refill_ms": 1, "delay_ms": 1, "delay_max_ms": 1}))
        daemon = self.house.start([program("msf_daemon"), "-c", self.file])
        wait_for("more records than a pipe holds", lambda: len(self.log()) > 200_000, 30)
        self.assertEqual(self.status("dies")["proc_idx"], 0)
        self.ends(daemon)

    def test_grandchildren_end_with_their_group(self):
        self.configure(self.script("forks", f"cd {self.house.folder}; for i in 1 2 3; do sleep 1000 & done; echo $! > last; wait"))
        daemon = self.start()
        last = int(wait_for("the last", lambda: (self.house.folder / "last").exists() and (self.house.folder / "last").read_text().strip()))
        os.kill(self.status("forks")["pid"], signal.SIGKILL)
        wait_for("the grandchildren's end", lambda: gone(last))
        self.ends(daemon)

    def test_one_that_closes_its_files_or_begins_a_session_is_kept_and_ended(self):
        self.configure(self.script("closes", "exec 0<&- 1>&- 2>&-; exec sleep 1000"),
                       self.command("session", "python3", "-c", "import os,time\nos.setsid\ntime.sleep(1000)"))
        daemon = self.start()
        pids = [self.status(name)["pid"] for name in ("closes", "session")]
        self.ends(daemon)
        self.assertTrue(all(gone(pid) for pid in pids))

    def test_one_that_is_stopped_is_ended(self):
        self.configure(self.sleeper())
        daemon = self.start()
        os.kill(self.status("one")["pid"], signal.SIGSTOP)
        began = time.monotonic()
        self.ends(daemon)
        self.assertLess(time.monotonic() - began, 0.5)

    def test_regress_one_that_left_its_group_is_killed_when_it_ignores_sigterm(self):
        text = ("import os, signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
                "os.setpgid(0, os.getpgid(os.getppid()))\nopen('ready', 'w').close()\ntime.sleep(1000)")
        self.configure(self.command("strays", "python3", "-c", text, working_directory="."), stop_timeout_ms=100)
        # In a group of its own, or the stray would be in the test's.
        daemon = self.start(start_new_session=True)
        wait_for("it to be gone astray", (self.house.folder / "ready").exists)
        self.ends(daemon)

    @AS_ROOT
    def test_regress_the_exit_of_a_set_user_id_program_is_known(self):
        tool = self.house.folder / "sleep"
        shutil.copy("/bin/sleep", tool)
        tool.chmod(0o4755)
        if os.statvfs(tool).f_flag & os.ST_NOSUID:
            self.skipTest("set-user-ID programs have no effect here")
        for folder in (self.house.run, self.house.log):
            os.chown(folder, NOBODY, NOBODY)
        self.configure(self.command("suid", str(tool), "0.3", restart={**QUICK, "immediate": 0, "delay_ms": 60000, "delay_max_ms": 60000}))
        daemon = self.start(user=NOBODY)
        last = wait_for("its end", lambda: self.status("suid")["last_exit"])
        self.assertEqual((last["code"], last["reason"]), (0, "exit code 0"))
        self.ends(daemon)

    def test_two_hundred_at_once(self):
        self.configure(*(self.sleeper(f"p{i}") for i in range(200)))
        daemon = self.start()
        processes = self.status()["processes"]
        self.assertEqual({process["state"] for process in processes}, {"up"})
        for process in processes:
            os.kill(process["pid"], signal.SIGKILL)
        old = {process["pid"] for process in processes}
        wait_for("all anew", lambda: all(one["state"] == "up" and one["pid"] not in old for one in self.status()["processes"]))
        self.ends(daemon)

    def test_without_descriptors_for_more_the_daemon_goes_on_and_recovers(self):
        self.configure(*(self.sleeper(f"p{i}") for i in range(40)))
        daemon = self.house.start([program("msf_daemon"), "-c", self.file], stdout=subprocess.DEVNULL,
                                  preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (24, 64)))
        wait_for("the log to tell", lambda: "Too many open files" in self.log())
        resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (64, 64))
        wait_for("all up", lambda: self.call("status").returncode == 0
                 and {one["state"] for one in self.status()["processes"]} == {"up"})
        self.ends(daemon)

    @AS_ROOT
    def test_without_room_for_processes_the_daemon_goes_on_and_recovers(self):
        for folder in (self.house.run, self.house.log):
            os.chown(folder, 54321, 54321)
        self.configure(*(self.sleeper(f"p{i}") for i in range(4)))
        others = [self.house.start(["sleep", "1000"], user=54321) for _ in range(4)]
        daemon = self.start(user=54321, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NPROC, (5, 5)))
        wait_for("the log to tell", lambda: "Resource temporarily unavailable" in self.log())
        for other in others:
            self.house.end(other)
        wait_for("all up", lambda: {one["state"] for one in self.status()["processes"]} == {"up"})
        self.ends(daemon)


class Signals(DaemonCase):
    def test_a_storm_of_reloads_changes_nothing_and_loses_nobody(self):
        self.configure(self.sleeper())
        daemon = self.start()
        pid = self.status("one")["pid"]
        for _ in range(2000):
            daemon.send_signal(signal.SIGHUP)
        self.assertEqual(self.status("one")["pid"], pid)
        self.ends(daemon)

    def test_reloads_while_the_file_is_being_written_end_with_what_is_written_last(self):
        self.configure(self.sleeper())
        daemon = self.start()
        pid = self.status("one")["pid"]
        text = json.dumps(self.document(self.sleeper(), self.sleeper("two")))
        for end in range(0, len(text), 7):
            self.file.write_text(text[:end])
            daemon.send_signal(signal.SIGHUP)
        self.file.write_text(text)
        done = self.call("reload")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual((self.status("one")["pid"], self.status("two")["state"]), (pid, "up"))
        self.ends(daemon)

    def test_a_file_that_became_a_pipe_blocks_no_reload(self):
        self.configure(self.sleeper())
        daemon = self.start()
        self.file.unlink()
        os.mkfifo(self.file)
        done = self.call("reload", timeout=5)
        self.assertEqual(done.returncode, 1)
        self.assertIn("is a pipe", done.stderr)
        self.ends(daemon)

    def test_sigterm_between_restarts_ends_everything(self):
        for wait in (0, 0.05, 0.1, 0.15):
            with self.subTest(wait):
                self.configure(*(self.script(f"dies{i}", f"sleep 0.0{i}") for i in range(8)))
                daemon = self.start()
                wait_for("the first restarts", lambda: self.status("dies0")["restarts"] > 0)
                wait_until = time.monotonic() + wait
                wait_for("its moment", lambda: time.monotonic() >= wait_until)
                self.ends(daemon)

    def test_reload_and_shutdown_at_once_end(self):
        deaf = "trap '' TERM; while :; do sleep 1; done"
        self.configure(self.script("deaf", deaf, stop_timeout_ms=200), self.sleeper())
        daemon = self.start()
        self.configure(self.script("deaf", deaf + " ", stop_timeout_ms=200), self.sleeper("two"))
        daemon.send_signal(signal.SIGHUP)
        self.ends(daemon)

    def test_regress_signals_blocked_by_whoever_started_it_arrive(self):
        self.configure(self.sleeper())
        blocked = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGCHLD}
        daemon = self.start(preexec_fn=lambda: signal.pthread_sigmask(signal.SIG_BLOCK, blocked))
        self.ends(daemon)

    def test_in_the_background_a_second_copy_is_refused_and_the_first_goes_on(self):
        self.configure(self.sleeper())
        done = self.call("-c", self.file, "-d")
        self.assertEqual(done.returncode, 0, done.stderr)
        pid = self.status()["pid"]
        self.assertEqual((self.house.run / "msf_daemon.pid").read_text(), f"{pid}\n")
        second = self.call("-c", self.file, "-d")
        self.assertEqual(second.returncode, 1)
        self.assertIn(f"as process {pid}", second.stderr)
        self.assertEqual(self.call("shutdown").returncode, 0)
        self.assertTrue(gone(pid))


if __name__ == "__main__":
    unittest.main()
