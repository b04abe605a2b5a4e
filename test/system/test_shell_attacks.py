"""msf_shell under bad input and bad luck: libraries that are broken, services that misbehave, files left by the dead."""

import os
import resource
import shutil
import signal
import socket
import time
import unittest
from pathlib import Path

from house import program, wait_for
from shells import ShellCase

HEAD = """
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <msf_log.h>
#include <msf_svc.h>
#include <msf_thread.h>
#define ARGUMENTS void *data, u32 len
#define NOTHING (void)data, (void)len
"""


def ticks_of(pid):
    """The processor time of a process, in hundredths of a second."""
    return sum(map(int, Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]))


class AttackCase(ShellCase):
    def source(self, name, text):
        """lib<name>.so of this text, and its entry."""
        file = self.house.folder / f"{name}.c"
        file.write_text(HEAD + text)
        self.house.compile(file, self.house.folder / f"lib{name}.so", "-shared", "-fPIC")
        return {"svc_name": name, "svc_libs": f"lib{name}.so"}

    def slot(self, name, body, slot="init"):
        """A service whose one slot has this body."""
        return self.source(name, f"static s32 work(ARGUMENTS) {{ NOTHING; {body} }}\n"
                                 f"struct msf_svc {name} = {{ .{slot} = work }};\n")

    def log_text(self):
        return self.house.text("msf_shell.trial.log")

    def ends(self, child):
        code, _, said = self.house.end(child)
        self.assertEqual(code, 0, said)
        self.assertEqual(list(self.house.run.iterdir()), [])


class Files(AttackCase):
    def test_regress_what_is_no_file_is_no_configuration(self):
        fifo, loop = self.house.folder / "fifo", self.house.folder / "loop"
        os.mkfifo(fifo)
        loop.symlink_to("loop")
        for path, said in ((fifo, "is a pipe"), (loop, "Too many levels"), ("/dev/zero", "is a device"),
                           (self.house.folder, "is a folder")):
            for words, code in (([], 2), (["-k", "parse"], 1), (["-k", "shutdown"], 2), (["-v"], 2)):
                done = self.call("-c", path, *words, timeout=5)
                self.assertEqual(done.returncode, code, (path, words, done.stderr))
                self.assertIn(said, done.stderr)

    def test_names_at_their_limits(self):
        service = self.plugin("a")
        long = {"svc_name": "s" * 63, "svc_libs": "liba.so"}
        for name, fits in (("n" * 31, True), ("n" * 32, False), ("é" * 15, True), ("é" * 16, False), ("..", True),
                           (" ", True), ("a/b", False), ("a\nb", False), ("a\0b", False)):
            done = self.call("-c", self.config(service, proc_name=name), "-k", "parse")
            self.assertEqual(done.returncode, 0 if fits else 1, (name, done.stderr))
        self.fails(self.config(long), 1, f'exports no symbol "{"s" * 63}"', "MSF_EXPORT")
        self.fails(self.config({**long, "svc_name": "s" * 64}), 2, "proc_svcs[0].svc_name", "has 64 bytes")
        self.fails(self.config({**long, "svc_libs": "/" * 4096}), 2, "proc_svcs[0].svc_libs", "has 4096 bytes")
        self.ends(self.shell(self.config(service, proc_name="é" * 15)))

    def test_a_key_written_twice_is_refused(self):
        config = self.config(self.plugin("a"))
        config.write_text(config.read_text().replace("{", '{"proc_name": "other", ', 1))
        self.fails(config, 2, '"proc_name" is written twice')

    def test_a_file_that_became_a_pipe_or_is_half_written_blocks_no_reload(self):
        config = self.config(self.plugin("a"))
        child = self.shell(config)
        text = config.read_text()
        config.write_text(text[:-20])
        child.send_signal(signal.SIGHUP)
        wait_for("the complaint", lambda: "reload: " in self.log_text() and "not JSON" in self.log_text())
        config.unlink()
        os.mkfifo(config)
        child.send_signal(signal.SIGHUP)
        wait_for("the complaint", lambda: "is a pipe" in self.log_text())
        self.ends(child)


class Libraries(AttackCase):
    def test_libraries_of_other_machines_are_named_so(self):
        found = 0
        for cross in ("aarch64-linux-gnu-gcc", "arm-linux-gnueabihf-gcc"):
            if not shutil.which(cross):
                continue
            found += 1
            (self.house.folder / "a.c").write_text("void *a[7];\n")
            made = self.house.call([cross, "-shared", "-fPIC", "-nostdlib", "a.c", "-o", "liba.so"])
            self.assertEqual(made.returncode, 0, made.stderr)
            self.fails(self.config({"svc_name": "a", "svc_libs": "liba.so"}), 1, "service a", "built for another machine")
        if not found:
            self.skipTest("no cross compiler")

    def test_regress_no_truncation_of_a_library_kills_the_shell(self):
        entry = self.plugin("a")
        config, file = self.config(entry), self.house.folder / "liba.so"
        whole = file.read_bytes()
        for part in range(16):
            file.write_bytes(whole[:len(whole) * part // 16])
            done = self.call("-c", config, timeout=5) if part < 8 else None
            if done:
                self.assertEqual(done.returncode, 1, (part, done.returncode, done.stderr))
                self.assertIn("liba.so", done.stderr)

    def test_what_is_no_file_is_no_library(self):
        os.mkfifo(self.house.folder / "libfifo.so")
        (self.house.folder / "libfolder.so").mkdir()
        (self.house.folder / "libloop.so").symlink_to("libloop.so")
        (self.house.folder / "libempty.so").write_text("")
        for library in ("libfifo.so", "./libfifo.so", "/dev/zero", "libfolder.so", "libloop.so", "libempty.so", ".", "/"):
            done = self.call("-c", self.config({"svc_name": "a", "svc_libs": library}), timeout=5)
            self.assertEqual(done.returncode, 1, library)
            self.assertIn("service a", done.stderr)
            self.assertIn(library, done.stderr)

    def test_a_program_is_no_library(self):
        shutil.copy(program("msf_shell"), self.house.folder / "liba.so")
        done = self.call("-c", self.config({"svc_name": "main", "svc_libs": "liba.so"}))
        self.assertEqual(done.returncode, 1)
        self.assertIn("service main", done.stderr)

    def test_symbols_of_other_kinds_are_refused_or_harmless(self):
        entry = self.source("a", "extern struct msf_svc *a; struct msf_svc *a = NULL;")
        self.fails(self.config(entry), 1, 'symbol "a"', "is a variable of 8 bytes")
        entry = self.source("b", "struct msf_svc b;")
        self.ends(self.shell(self.config(entry)))
        entry = self.source("c", "extern struct msf_svc d; struct msf_svc *c(void); struct msf_svc *c(void) { return &d; }")
        self.fails(self.config(entry), 1, "libc.so", "is a function")
        self.fails(self.config({**entry, "svc_name": "d"}), 1, "service d", "libc.so", "cannot be loaded")

    def test_the_same_library_may_hold_several_services(self):
        entry = self.source("a", "struct msf_svc a, b;")
        self.ends(self.shell(self.config(entry, {**entry, "svc_name": "b"})))

    def test_five_hundred_services(self):
        names = [f"svc{i}" for i in range(500)]
        self.source("many", "static s32 fine(ARGUMENTS) { NOTHING; return 0; }\n"
                    + "".join(f"struct msf_svc {name} = {{ .init = fine, .deinit = fine, .start = fine, .stop = fine }};\n" for name in names))
        built = self.house.folder / "libmany.so"
        services = []
        for i, name in enumerate(names):
            if i % 5 == 0:
                shutil.copy(built, self.house.folder / f"lib{i // 5}.so")
            services.append({"svc_name": name, "svc_libs": f"lib{i // 5}.so"})
        config = self.config(*services)
        began = time.monotonic()
        child = self.shell(config)
        self.assertIsNone(child.poll())
        self.assertIn("500 services are started", self.log_text())
        self.ends(child)
        self.assertLess(time.monotonic() - began, 20)

    def test_oddities_of_the_plugin_path_are_skipped(self):
        entry = self.plugin("a")
        folder = self.house.folder / "with space"
        folder.mkdir()
        (self.house.folder / "liba.so").rename(folder / "liba.so")
        config = self.config(entry)
        for path in (f":::{folder}:", f"/dev/null:/nowhere:{folder}", f"with space:{'x' * 5000}", f"{'/n:' * 2000}{folder}",
                     os.fsdecode(b"/\xff\xfe:") + str(folder), f"{config}:{folder}/."):
            child = self.shell(config, env={**self.house.env, "MSF_PLUGIN_PATH": path})
            self.assertIsNone(child.poll(), path)
            self.ends(child)
        done = self.call("-c", config, env={**self.house.env, "MSF_PLUGIN_PATH": ""})
        self.assertEqual(done.returncode, 1)


class Services(AttackCase):
    def test_a_failing_init_is_told_whatever_it_returns(self):
        for value in (-1, -2147483648):
            self.fails(self.config(self.slot("a", f"return {value};")), 1, "service a: init failed", f"returned {value}")
        self.ends(self.shell(self.config(self.slot("a", "return 2147483647;"))))

    def test_one_that_ends_the_process_leaves_the_name_free(self):
        entry = self.slot("a", "exit(3);")
        config = self.config(entry)
        for _ in range(2):
            done = self.call("-c", config)
            self.assertEqual(done.returncode, 3)
        self.assertEqual(list(self.house.run.iterdir()), [])

    def test_one_that_crashes_leaves_the_name_free(self):
        self.assertEqual(self.call("-c", self.config(self.slot("a", "abort();"))).returncode, -signal.SIGABRT)
        child = self.shell(self.config(self.plugin("b")))
        self.ends(child)

    def test_one_that_blocks_is_ended_by_kill(self):
        config = self.config(self.slot("a", 'FILE *f = fopen("in", "w"); fclose(f); pause(); return 0;'))
        child = self.house.start([program("msf_shell"), "-c", config])
        wait_for("its init", (self.house.folder / "in").exists)
        self.assertEqual(self.call("-c", config, "-k", "shutdown").returncode, 0)
        self.assertIsNone(child.poll())
        self.assertEqual(self.call("-c", config, "-k", "kill").returncode, 0)
        self.assertEqual(child.wait(5), -signal.SIGKILL)

    def test_sigterm_during_start_takes_down_what_is_up(self):
        slow = self.slot("slow", 'FILE *f = fopen("in", "w"); fclose(f); sleep(1); return 0;', "start")
        child = self.house.start([program("msf_shell"), "-c", self.config(self.plugin("a"), slow, self.plugin("b"))])
        wait_for("its start", (self.house.folder / "in").exists)
        self.ends(child)
        self.assertEqual(self.diary(), ["a.init", "b.init", "a.start", "a.stop", "b.deinit", "a.deinit"])

    def test_threads_that_log_without_end_do_not_hold_up_the_end(self):
        entry = self.source("a", """
            static void *chatter(void *arg)
            {
                for (;;)
                    msf_log_write(DBG_INFO, "CHAT", MSF_FUNC_FILE_LINE, "still here");
                return arg;
            }
            static s32 start(ARGUMENTS)
            {
                NOTHING;
                for (int i = 0; i < 4; i++) {
                    pthread_t thread;
                    if (pthread_create(&thread, NULL, chatter, NULL) != 0)
                        return -1;
                }
                return 0;
            }
            struct msf_svc a = { .start = start };
            """)
        child = self.shell(self.config(entry))
        wait_for("the chatter", lambda: "still here" in self.log_text())
        self.ends(child)

    def test_one_that_changes_folder_files_and_signals_is_survived(self):
        entry = self.slot("a", """
            signal(SIGTERM, SIG_IGN);
            sigset_t none;
            sigemptyset(&none);
            pthread_sigmask(SIG_BLOCK, &none, NULL);
            close(0); close(1); close(2);
            return chdir("/");
            """)
        child = self.shell(self.config(entry))
        child.send_signal(signal.SIGHUP)
        wait_for("the reload", lambda: "nothing has changed" in self.log_text())
        child.terminate()
        self.assertEqual(child.wait(5), 0)


class Names(AttackCase):
    def test_regress_a_stale_pid_file_gets_no_stranger_signalled(self):
        config = self.config(self.plugin("a"))
        stranger = self.house.start(["sleep", "1000"])
        (self.house.run / "msf_shell.trial.lock").write_text("")
        (self.house.run / "msf_shell.trial.pid").write_text(f"{stranger.pid}\n")
        for word in ("reload", "rotate", "shutdown", "kill"):
            done = self.call("-c", config, "-k", word)
            self.assertEqual((done.returncode, done.stderr), (1, "msf_shell: msf_shell.trial is not running\n"))
        self.assertIsNone(stranger.poll())
        self.ends(self.shell(config))

    def test_pid_files_of_nonsense_are_nobody(self):
        config = self.config(self.plugin("a"))
        pid = self.house.run / "msf_shell.trial.pid"
        for text in ("", "-1\n", "0\n", "x" * 100000, "99999999999999999999\n", "1 2\n"):
            pid.write_text(text)
            self.assertEqual(self.call("-c", config, "-k", "kill").returncode, 1, text[:30])
        pid.unlink()
        os.mkfifo(pid)
        self.assertEqual(self.call("-c", config, "-k", "kill", timeout=5).returncode, 1)

    def test_of_two_started_at_the_same_instant_one_runs(self):
        config = self.config(self.plugin("a"))
        for _ in range(20):
            pair = [self.house.start([program("msf_shell"), "-c", config]) for _ in range(2)]
            wait_for("one to be refused", lambda: any(one.poll() is not None for one in pair))
            loser, winner = sorted(pair, key=lambda one: one.poll() is None)
            self.assertEqual(loser.returncode, 1)
            self.assertIn(f"already running as pid {winner.pid}", loser.stderr.read())
            wait_for("the start", lambda: "1 service is started" in self.log_text())
            self.ends(winner)
            (self.house.log / "msf_shell.trial.log").unlink()

    def test_storms_of_signals_lose_nothing(self):
        child = self.shell(self.config(self.plugin("a")))
        for _ in range(1000):
            child.send_signal(signal.SIGHUP)
            child.send_signal(signal.SIGUSR1)
        wait_for("a reload", lambda: "nothing has changed" in self.log_text())
        self.ends(child)

    def test_few_descriptors_are_an_error_with_a_reason(self):
        config = self.config(self.plugin("a"))
        for most in range(3, 16):
            child = self.house.start([program("msf_shell"), "-c", config],
                                     preexec_fn=lambda most=most: resource.setrlimit(resource.RLIMIT_NOFILE, (most, most)))
            wait_for("its end or its start", lambda child=child: child.poll() is not None or "1 service is started" in self.log_text())
            if child.poll() is None:
                break
            self.assertIn(child.returncode, (1, 2, 127), most)
            self.assertNotEqual(child.stderr.read(), "", most)
            (self.house.log / "msf_shell.trial.log").unlink(missing_ok=True)
        self.ends(child)


class Readiness(AttackCase):
    def test_regress_without_a_descriptor_nobody_is_let_in_and_no_time_is_burnt(self):
        config = self.config(self.plugin("a"))
        child = self.shell(config, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (24, 24)))
        crowd = [socket.socket(socket.AF_UNIX) for _ in range(40)]
        for peer in crowd:
            peer.connect(str(self.house.run / "msf_shell.trial.sock"))
        wait_for("the record", lambda: "nobody can come in at the admin socket: Too many open files" in self.log_text())
        before = ticks_of(child.pid)
        time.sleep(0.5)
        self.assertLess(ticks_of(child.pid) - before, 20, "hundredths of a second")
        for peer in crowd:
            peer.close()
        wait_for("an answer", lambda: self.call("-c", config, "list").returncode == 0)
        self.ends(child)

    def test_regress_a_number_from_somewhere_above_closes_nothing_of_ours(self):
        config = self.config(self.plugin("a"))
        for number in ("-1", "0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "x", "", "99999999999999"):
            child = self.house.start([program("msf_shell"), "-c", config], env={**self.house.env, "MSF_READY_FD": number})
            wait_for("the start", lambda: "1 service is started" in self.log_text())
            child.send_signal(signal.SIGUSR1)
            wait_for("the log anew", lambda: "opened anew" in self.log_text())
            self.assertIn(f"MSF_READY_FD={number}", self.log_text())
            self.assertNotIn("\n\n", self.log_text())
            self.ends(child)
            (self.house.log / "msf_shell.trial.log").unlink()

    def test_regress_a_file_is_not_written_over(self):
        file = self.house.folder / "precious"
        file.write_text("precious\n")
        with file.open("r+") as opened:
            child = self.house.start([program("msf_shell"), "-c", self.config(self.plugin("a"))],
                                     pass_fds=[opened.fileno()], env={**self.house.env, "MSF_READY_FD": str(opened.fileno())})
            wait_for("the start", lambda: "1 service is started" in self.log_text())
            self.ends(child)
        self.assertEqual(file.read_text(), "precious\n")


if __name__ == "__main__":
    unittest.main()
