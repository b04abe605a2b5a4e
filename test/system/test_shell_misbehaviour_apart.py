"""The table of doc/shell.md, with every row in a process of its own."""

import json
import os
import re
import resource
import shutil
import signal
import struct
import time
import unittest
from pathlib import Path

from house import gone, program, wait_for
from shells import IsolateCase, hostile


def damaged(library):
    """As long as it was, and all that tells the loader where things are is wrong."""
    library = bytearray(library)
    at, size, count = (struct.unpack_from("<Q", library, 32)[0], *struct.unpack_from("<HH", library, 54))
    for segment in range(at, at + size * count, size):
        kind, _, offset, _, _, length = struct.unpack_from("<IIQQQQ", library, segment)
        if kind == 2:       # PT_DYNAMIC: pairs of a tag and a value
            for value in range(offset + 8, offset + length, 16):
                struct.pack_into("<Q", library, value, struct.unpack_from("<Q", library, value)[0] ^ 0x5555_0000)
    return bytes(library)


class Misbehaviour(IsolateCase):
    LONG = True

    def goes_on(self, config, child, processes=0):
        self.assertEqual(self.ask(config, "call", "b", "get"), "0\n")
        wait_for("the others to be buried", lambda: len(self.children(child)) == processes)
        self.assertEqual(self.listed(config)[1]["left"], [])

    def test_what_cannot_be_taken_up_is_refused_as_in_the_shell(self):
        rows = {"a": ("FAIL=init", "init failed, it returned -5 (Protocol error"), "c": ("FAIL=start", "start failed, it returned -5"),
                "d": ("ABI=9", "its abi is 9; expected MSF_SVC_ABI"), "e": ("SIZE=20", "its size is 20; expected"),
                "f": ("SIZE=4000", "its size is 4000; the variable has")}
        entries = {name: self.lone(name, define) for name, (define, _) in rows.items()}
        for name in ("a", "d"):
            self.fails(self.config(entries[name]), 1, f"service {name}: ", rows[name][1])
        config = self.config(*({**entry, "optional": True} for entry in entries.values()), self.counter("b"))
        child = self.shell(config)
        services = self.listed(config)[0]
        for name, (_, said) in rows.items():
            self.assertIn(said, services[name].get("why", services))
            self.assertIn(said, self.ask(config, "load", name, code=1))
        self.goes_on(config, child)
        self.ends(child)

    def test_a_library_that_is_none_or_calls_what_is_nowhere_is_refused(self):
        (self.house.folder / "libn.so").write_text("no library")
        source = self.house.folder / "u.c"
        source.write_text("#include <msf_svc.h>\ns32 nowhere_to_be_found(void);\nstatic s32 work(void *d, u32 l) "
                          "{ (void)d, (void)l; return nowhere_to_be_found(); }\nstruct msf_svc u = { .msg_handler = work };\n")
        self.house.compile(source, self.house.folder / "libu.so", "-shared", "-fPIC")
        entries = [{"svc_name": name, "svc_libs": f"lib{name}.so", "isolate": True, "optional": True} for name in ("n", "u", "x")]
        config = self.config(*entries, self.counter("b"))
        child = self.shell(config)
        services = self.listed(config)[0]
        self.assertIn("libn.so is not a shared library", services["n"]["why"])
        self.assertIn("libu.so cannot be loaded", services["u"]["why"])
        self.assertIn("nowhere_to_be_found", self.own_log("u"))
        self.assertIn('no library "libx.so"', services["x"]["why"])
        self.goes_on(config, child)
        self.ends(child)

    def test_one_that_dies_while_it_is_loaded_is_refused(self):
        config = self.config(self.counter("b"))
        child = self.shell(config)
        for death in ("abort();", "*(volatile int *)8 = 1;"):
            dying = self.bad("return 0;", more=f"static void __attribute__((constructor)) die(void) {{ {death} }}\n")
            self.config(self.counter("b"), dying)
            said = self.ask(config, "load", "bad", code=1)
            self.assertRegex(said, r"service bad: .*process \d+ (was ended by SIG(ABRT|SEGV)|crashes)")
            self.goes_on(config, child)
        library = self.house.folder / "libbad.so"
        if library.read_bytes()[4] == 2:    # of 64 bits
            # What the loader falls over is no less a death than that.
            library.write_bytes(damaged(library.read_bytes()))
            self.assertRegex(self.ask(config, "load", "bad", code=1), r"service bad: .*process \d+ ")
            self.goes_on(config, child)
        self.ends(child)

    def test_a_start_that_blocks_is_ended_with_its_process(self):
        slow = self.lone("a", "BLOCK=start", start_timeout_ms=200)
        self.fails(self.config(slow), 1, "service a: start failed, it has not returned within 200ms; its process was ended")
        config = self.config({**slow, "optional": True}, self.counter("b"))
        child = self.shell(config)
        self.assertIn("its process was ended", self.listed(config)[0]["a"]["why"])
        self.goes_on(config, child)
        (self.house.folder / "go").write_text("")
        self.assertIn("service a is started", self.ask(config, "reload"))
        self.ends(child)

    def test_a_slot_that_waits_can_see_that_it_should_not(self):
        source = self.house.folder / "w.c"
        source.write_text("#include <signal.h>\n#include <unistd.h>\n#include <msf_svc.h>\n"
                          "static s32 come(void *d, u32 l) { sigset_t set; (void)d, (void)l; do { usleep(1000); sigpending(&set); } "
                          "while (!sigismember(&set, SIGTERM)); return -4; }\nstruct msf_svc w = { .start = come };\n")
        self.house.compile(source, self.house.folder / "libw.so", "-shared", "-fPIC")
        config = self.config({"svc_name": "w", "svc_libs": "libw.so", "isolate": True})
        child = self.house.start([program("msf_shell"), "-c", config])
        wait_for("its start", lambda: "service w: start" in self.own_log("w"))
        self.assertIn("service w: start failed, it returned -4", self.ends(child, 1))

    def test_a_stop_or_a_call_that_does_not_return_is_ended_with_its_process(self):
        config = self.config(self.lone("a", "BLOCK=stop", stop_timeout_ms=200), self.bad("for (;;) sleep(1);", stop_timeout_ms=200),
                             self.counter("b"))
        child = self.shell(config)
        pids = [self.pid_of(config, name) for name in ("a", "bad")]
        said = self.ask(config, "unload", "a", code=1)
        self.assertIn("service a: stop failed, it has not returned within 200ms; its process was ended", said)
        self.assertIn("has not returned within 100ms", self.ask(config, "call", "bad", "msg_handler", "--timeout", "100", code=1))
        said = self.call("-c", config, "unload", "bad")
        self.assertIn("its process was ended", said.stdout + said.stderr)
        self.assertTrue(all(gone(pid) for pid in pids))
        self.goes_on(config, child)
        self.assertIn("service a is started", self.ask(config, "load", "a"))
        self.ends(child, 1)

    def test_threads_timers_and_handlers_that_are_left_end_with_the_process(self):
        rows = {"a": ("SLEEPER", "thread 'left behind'"), "c": ("SPIN", "thread 'svc:c'"), "d": ("TIMER", "a timer of msf_timer_add"),
                "e": ("HANDLER", "")}
        config = self.config(*(self.lone(name, define) for name, (define, _) in rows.items()), self.counter("b"))
        child = self.shell(config)
        pids = {name: self.pid_of(config, name) for name in rows}
        for name, (_, left) in rows.items():
            told = self.ask(config, "unload", name)
            self.assertIn(f"has ended with its process {pids[name]}", told)
            self.assertIn(left, told)
            self.assertTrue(gone(pids[name]))
        self.goes_on(config, child)
        self.ends(child)

    def test_what_is_left_in_its_loop_and_descriptors_and_pools_are_told_in_its_log(self):
        config = self.config(self.lone("a", "LOOP", "LEAVE"), self.careless("c", isolate=True), self.counter("b"))
        child = self.shell(config)
        for name, said in (("a", ["it had left 0 events and 1 timers in its loop"]),
                           ("c", ["it has left descriptor", "open, /dev/zero", "it has left pools with"])):
            pid = self.pid_of(config, name)
            self.assertIn(f"has ended with its process {pid}", self.ask(config, "unload", name))
            self.assertTrue(gone(pid))
            for words in said:
                self.assertIn(words, self.own_log(name))
        self.goes_on(config, child)
        self.ends(child)

    def test_a_panic_is_an_answer_and_an_abort_a_new_process(self):
        config = self.config(hostile(self, isolate=True), self.counter("b"))
        child = self.shell(config)
        first = self.pid_of(config, "hostile")
        self.assertIn("panic: told to", self.ask(config, "call", "hostile", "panic", code=1))
        self.assertIn("it has panicked before", self.ask(config, "call", "hostile", "add", "1", code=1))
        self.assertEqual(self.pid_of(config, "hostile"), first)
        for command in ("abort", "overflow"):
            self.ask(config, "unload", "hostile")
            self.ask(config, "load", "hostile")
            before = self.pid_of(config, "hostile")
            self.assertIn(f"its process {before}", self.ask(config, "call", "hostile", command, "x", code=1))
            self.assertNotEqual(self.pid_of(config, "hostile", before), before)
        self.assertEqual(self.ask(config, "call", "hostile", "add", "1"), "1\n")
        self.goes_on(config, child, 1)
        self.ends(child)

    @unittest.skipUnless(shutil.which("g++"), "no C++ here")
    def test_an_exception_that_nobody_catches_is_a_new_process(self):
        config = self.config(self.thrower(isolate=True), self.counter("b"))
        child = self.shell(config)
        before = self.pid_of(config, "bad")
        self.assertIn(f"its process {before}", self.ask(config, "call", "bad", "msg_handler", code=1))
        self.assertNotEqual(self.pid_of(config, "bad", before), before)
        self.assertIn("SIGABRT in no service's code, thread 'svc:bad'", self.own_log("bad"))
        self.goes_on(config, child, 1)
        self.ends(child)

    FORK = "pid_t p = fork(); if (p == 0) for (;;) sleep(1); return p;"

    def forked(self, config):
        """The service's process, and the one that it has forked."""
        fork = json.loads(self.ask(config, "call", "bad", "msg_handler", "--json"))["code"]
        self.addCleanup(lambda: gone(fork) or os.kill(fork, signal.SIGKILL))
        return self.pid_of(config, "bad"), fork

    def test_a_fork_ends_with_its_process(self):
        config = self.config(self.bad(self.FORK), self.counter("b"))
        child = self.shell(config)
        first, fork = self.forked(config)
        os.kill(first, signal.SIGKILL)
        self.assertNotEqual(self.pid_of(config, "bad", first), first, "though the fork holds its socket")
        wait_for("the fork's end", lambda: gone(fork))
        self.goes_on(config, child, 1)
        self.ends(child)

    def test_a_fork_ends_with_the_shell_however_that_ends(self):
        config = self.config(self.bad(self.FORK))
        for end in (signal.SIGTERM, signal.SIGKILL):
            with self.subTest(end=end):
                child = self.shell(config)
                pids = self.forked(config)
                child.send_signal(end)
                child.wait(10)
                wait_for("the end of both", lambda pids=pids: all(gone(pid) for pid in pids))

    def test_a_fork_ends_with_a_killed_shell_though_its_process_takes_the_signal_for_itself(self):
        takes = ("signal(SIGHUP, SIG_IGN); sigset_t s; sigemptyset(&s); sigaddset(&s, SIGHUP); "
                 "pthread_sigmask(SIG_UNBLOCK, &s, NULL); return 0;")
        config = self.config(self.bad(f"if (len) {{ {takes} }} {self.FORK}", more="#include <signal.h>\n"))
        child = self.shell(config)
        pids = self.forked(config)
        self.ask(config, "call", "bad", "msg_handler", "x")
        child.kill()
        child.wait(10)
        wait_for("the end of both", lambda: all(gone(pid) for pid in pids))

    def test_a_fork_ends_with_a_killed_shell_though_its_process_stands_still(self):
        config = self.config(self.bad(f"if (len) kill(getpid(), SIGSTOP); {self.FORK}", more="#include <signal.h>\n"))
        child = self.shell(config)
        pids = self.forked(config)
        self.house.start([program("msf_shell"), "-c", config, "call", "bad", "msg_handler", "x"])
        # Of all its threads: only then the kernel counts it among the stopped, and wakes it.
        tasks = Path(f"/proc/{pids[0]}/task")
        wait_for("its standstill", lambda: all(re.search(r"^State:\s+T", (task / "status").read_text(), re.M) for task in tasks.iterdir()))
        child.kill()
        child.wait(10)
        wait_for("the end of both", lambda: all(gone(pid) for pid in pids))

    def test_a_hang_up_that_somebody_sends_is_nothing(self):
        config = self.config(self.lone("a"), self.counter("b"))
        child = self.shell(config)
        pid = self.pid_of(config)
        for number in range(3):
            os.kill(pid, signal.SIGHUP)
            self.assertEqual(self.ask(config, "call", "a", "add", "1"), f"{number + 1}\n")
        self.assertEqual(self.pid_of(config), pid)
        self.goes_on(config, child, 1)
        self.ends(child)

    def test_a_core_that_takes_long_keeps_nobody_waiting(self):
        entry = self.bad("if (much) abort(); much = malloc(128 << 20); memset(much, 7, 128 << 20); return 0;",
                         more="static char *much;\n")
        config = self.config(entry, self.counter("b"))
        unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        child = self.shell(config, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CORE, unlimited))
        before = self.pid_of(config, "bad")
        with self.talk(refused=True) as ask:
            self.assertEqual(ask(verb="call", service="bad", command="msg_handler")["code"], 0)
            began = time.monotonic()
            answer = ask(verb="call", service="bad", command="msg_handler")
            took = time.monotonic() - began
        self.assertIn(f"its process {before}", answer["error"])
        self.assertLess(took, 0.5, answer)
        self.assertNotEqual(self.pid_of(config, "bad", before), before)
        wait_for("its end in the log", lambda: f"its process {before} was ended by SIGABRT" in self.log_text())
        self.ends(child)


if __name__ == "__main__":
    unittest.main()
