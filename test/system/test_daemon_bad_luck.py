"""msf_daemon and bad luck: processes that will not start, will not stay or will not end, signals at the worst moment."""

import json
import os
import resource
import shutil
import signal
import subprocess
import time
import unittest
from pathlib import Path

from house import gone, program, wait_for
from test_daemon_attacks import AS_ROOT, NOBODY, QUICK, DaemonCase


class Processes(DaemonCase):
    LONG = True

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
        self.configure(self.sleeper(), stop_timeout_ms=20_000)
        daemon = self.start()
        os.kill(self.status("one")["pid"], signal.SIGSTOP)
        began = time.monotonic()
        self.ends(daemon)
        self.assertLess(time.monotonic() - began, 10, "it was not told to go on, and killed at the end of its time")

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
        self.configure(self.sleeper())
        # It raises its own limit at the start, so it is lowered afterwards.
        daemon = self.start(preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (24, 64)))
        self.assertIn("Max open files            24                   64",
                      Path(f"/proc/{self.status('one')['pid']}/limits").read_text())
        resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (24, 64))
        self.configure(*(self.sleeper(f"p{i}") for i in range(40)))
        self.call("reload")
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
        others = [self.house.start(["sleep", "1000"], user=54321) for _ in range(5)]
        # Room for the daemon, a thread that it makes, and its four.
        daemon = self.start(user=54321, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NPROC, (6, 6)))
        wait_for("the log to tell", lambda: "Resource temporarily unavailable" in self.log())
        for other in others:
            self.house.end(other)
        wait_for("all up", lambda: {one["state"] for one in self.status()["processes"]} == {"up"})
        self.ends(daemon)

class Standstill(DaemonCase):
    """Whoever is stopped and goes on later has missed something."""

    def heart(self, name="heart"):
        text = ("import os, socket, time\nnotify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)\n"
                "notify.connect(os.environ['NOTIFY_SOCKET'])\nwhile True:\n  notify.send(b'WATCHDOG=1')\n  time.sleep(0.05)\n")
        return self.command(name, "python3", "-c", text, health={"by": "heartbeat", "interval_ms": 500})

    def test_one_with_a_heart_that_is_stopped_is_replaced(self):
        self.configure(self.heart(), stop_timeout_ms=100)
        daemon = self.start()
        pid = self.status("heart")["pid"]
        os.kill(pid, signal.SIGSTOP)
        wait_for("its successor", lambda: self.status("heart")["pid"] not in (None, pid))
        self.assertTrue(gone(pid))
        self.assertIn("no heartbeat for 500 ms", self.log())
        self.ends(daemon)

    def test_a_daemon_that_was_stopped_sees_what_has_happened_and_takes_nobody_for_ill(self):
        self.configure(self.heart(), self.sleeper(), self.command("asked", "sleep", "1000", health={
            "by": "exec", "command": ["true"], "interval_ms": 100, "failures": 1}))
        daemon = self.start()
        pids = {name: self.status(name)["pid"] for name in ("heart", "one", "asked")}
        daemon.send_signal(signal.SIGSTOP)
        os.kill(pids["one"], signal.SIGKILL)
        # Four intervals of the heart, which goes on beating.
        time.sleep(2)
        daemon.send_signal(signal.SIGCONT)
        wait_for("the successor", lambda: self.status("one")["pid"] not in (None, pids["one"]))
        time.sleep(1)
        self.assertEqual({name: self.status(name)["pid"] for name in ("heart", "asked")}, {name: pids[name] for name in ("heart", "asked")},
                         self.log())
        self.assertEqual({self.status(name)["health"] for name in ("heart", "asked")}, {"well"})
        self.ends(daemon)


SHIFTED_CLOCK = """
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* The time of day is that of the machine and as many seconds as the file says. */
int clock_gettime(clockid_t clock, struct timespec *time)
{
    char text[32] = "0";
    int status = (int)syscall(SYS_clock_gettime, clock, time), file;

    if (clock == CLOCK_REALTIME && (file = open(getenv("SHIFT"), O_RDONLY | O_CLOEXEC)) >= 0) {
        if (read(file, text, sizeof(text) - 1) > 0)
            time->tv_sec += atol(text);
        close(file);
    }
    return status;
}
"""
DAY = 86400


class Clock(DaemonCase):
    def test_the_time_of_day_may_jump_by_days(self):
        source, library, shift = (self.house.folder / name for name in ("clock.c", "clock.so", "shift"))
        source.write_text(SHIFTED_CLOCK)
        self.house.compile(source, library, "-shared", "-fPIC")
        shift.write_text("0")
        self.configure(self.sleeper(), self.script("dies", "sleep 0.3", restart={**QUICK, "refill_ms": 3600000}),
                       self.command("asked", "sleep", "1000", health={"by": "exec", "command": ["true"], "interval_ms": 50}))
        daemon = self.start(env={**self.house.env, "LD_PRELOAD": str(library), "SHIFT": str(shift)})
        pids = [self.status(name)["pid"] for name in ("one", "asked")]
        for seconds in (DAY, -DAY, 0):
            restarts = self.status("dies")["restarts"]
            shift.write_text(str(seconds))
            wait_for("two more restarts", lambda: self.status("dies")["restarts"] >= restarts + 2)
            self.assertEqual([self.status(name)["pid"] for name in ("one", "asked")], pids, self.log())
            self.assertLess(self.status()["uptime_ms"], 60_000)
            self.assertLess(self.status("dies")["last_exit"]["ago_ms"], 60_000)
        # It was really shifted, and the log says what the clock said.
        years = {line[:11] for line in self.log().splitlines() if line.startswith("[20")}
        self.assertGreaterEqual(len(years), 2)
        self.ends(daemon)


@AS_ROOT
class Disks(DaemonCase):
    def mount(self, folder, *options):
        if self.house.call(["mount", "-t", "tmpfs", "-o", ",".join(("mode=700", *options)), "none", folder]).returncode:
            self.skipTest("no file system can be mounted here")
        self.addCleanup(self.house.call, ["umount", "--lazy", folder])

    def fill(self, folder):
        with (folder / "filler").open("wb", buffering=0) as filler:
            try:
                while filler.write(bytes(4096)):
                    pass
            except OSError:
                pass

    def die_and_come_back(self, times=5):
        for _ in range(times):
            pid = self.status("one")["pid"]
            os.kill(pid, signal.SIGKILL)
            wait_for("its successor", lambda pid=pid: self.status("one")["pid"] not in (None, pid))

    def adopted(self, daemon):
        """Whether a successor of the daemon, killed, adopts who runs."""
        pid = self.status("one")["pid"]
        daemon.kill()
        daemon.wait()
        daemon = self.start()
        self.assertEqual(self.status("one")["pid"], pid, self.log())
        return daemon

    def test_a_full_disk_under_log_and_events_holds_up_nobody_and_what_is_missing_is_told(self):
        self.mount(self.house.log, "size=256k")
        self.configure(self.sleeper(), restart={**QUICK, "immediate": 1000})
        daemon = self.start()
        self.fill(self.house.log)
        self.die_and_come_back(20)
        (self.house.log / "filler").unlink()
        self.die_and_come_back(2)
        lines = (self.house.log / "msf_daemon.events.jsonl").read_text().splitlines()
        # Of what the disk took half a line is of one that counts as lost.
        events = [json.loads(line) for line in lines if line.endswith("}")]
        numbers = [event["seq"] for event in events]
        self.assertEqual(numbers, sorted(set(numbers)))
        lost = sum(event.get("lost", 0) for event in events)
        self.assertEqual(numbers[-1] - numbers[0] + 1, len(numbers) + lost)
        self.assertGreater(lost, 0)
        self.ends(self.adopted(daemon))

    def test_a_disk_that_stands_still_under_log_and_events_holds_up_nobody(self):
        image = self.house.folder / "disk"
        with image.open("wb") as file:
            file.truncate(16 << 20)
        for command in (["mkfs.ext4", "-q", image], ["mount", "-o", "loop", image, self.house.log]):
            if self.house.call(command).returncode:
                self.skipTest("no file system can be made here")
        self.addCleanup(self.house.call, ["umount", "--lazy", self.house.log])
        self.configure(self.sleeper(), restart={**QUICK, "immediate": 1000})
        daemon = self.start()
        if self.house.call(["fsfreeze", "--freeze", self.house.log]).returncode:
            self.skipTest("no file system can be made to stand still here")
        try:
            self.die_and_come_back()
        finally:
            self.house.call(["fsfreeze", "--unfreeze", self.house.log])
        written = lambda: (self.house.log / "msf_daemon.events.jsonl").read_text().splitlines()
        wait_for("the events", lambda: json.loads(written()[-1])["restarts"] == 5)
        numbers = [json.loads(line)["seq"] for line in written()]
        self.assertEqual(numbers, list(range(1, len(numbers) + 1)))
        self.ends(daemon)

    def test_regress_in_a_full_run_directory_it_is_still_written_down_who_runs(self):
        self.mount(self.house.run, "size=1m")
        self.configure(self.sleeper(), restart={**QUICK, "immediate": 1000})
        daemon = self.start()
        self.fill(self.house.run)
        self.die_and_come_back(30)
        # Room for what happens was taken while there was some.
        self.assertNotIn("will not know", self.log())
        daemon.kill()
        daemon.wait()
        (self.house.run / "filler").unlink()
        daemon = self.start()
        self.assertEqual(len(self.sleepers()), 1, self.log())
        self.assertEqual(self.sleepers(), [self.status("one")["pid"]])
        self.die_and_come_back(2)
        self.ends(self.adopted(daemon))

    def sleepers(self):
        found = []
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and f"MSF_RUN_DIR={self.house.run}".encode() in (entry / "environ").read_bytes() and (
                        entry / "comm").read_text() == "sleep\n" and not gone(entry.name):
                    found.append(int(entry.name))
            except OSError:
                pass
        return found


@AS_ROOT
@unittest.skipUnless(shutil.which("perl"), "there is no perl")
class Bombs(DaemonCase):
    def test_one_that_forks_without_end_meets_its_limit_and_ends_with_all_it_has(self):
        # Whoever cannot fork tries again a little later, so that the machine can do something else meanwhile.
        self.configure(self.command("bomb", "perl", "-e", "while (1) { sleep 1 unless defined fork }", user=54322, group=54322,
                                    rlimits={"nproc": 60}), self.sleeper())
        # Whatever has happened: one by one they cannot be ended.
        self.addCleanup(subprocess.run, ["kill", "-9", "-1"], user=54322, check=False, stderr=subprocess.DEVNULL)
        daemon = self.start()

        def bombs():
            return [pid for pid in os.listdir("/proc") if pid.isdigit() and owner(pid) == 54322]

        wait_for("the limit", lambda: len(bombs()) >= 60)
        began = time.monotonic()
        self.assertEqual(self.status("one")["state"], "up")
        self.assertEqual(self.call("stop", "bomb").returncode, 0)
        wait_for("the end of all", lambda: not [pid for pid in bombs() if not gone(pid)])
        self.assertLess(time.monotonic() - began, 5)
        self.ends(daemon)


def owner(pid):
    try:
        return os.stat(f"/proc/{pid}").st_uid
    except OSError:
        return None


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
        wait_for("its end", lambda: gone(pid))


if __name__ == "__main__":
    unittest.main()
