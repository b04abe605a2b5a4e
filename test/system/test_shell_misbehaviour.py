"""The table of doc/shell.md: what becomes of plugins that misbehave in the shell's process."""

import json
import os
import re
import shutil
import signal
import unittest
from pathlib import Path

from house import gone, wait_for
from shells import CRASHES, PluginCase, hostile


class Misbehaviour(PluginCase):
    def go(self):
        (self.house.folder / "go").write_text("")

    def test_a_start_that_blocks_is_told_and_an_optional_service_holds_nobody_up(self):
        slow = self.counter("slow", "BLOCK=start", start_timeout_ms=200)
        config = self.config(slow, self.counter("b"))
        self.fails(config, 1, "service slow: start failed, it has not returned within 200ms")
        config = self.config({**slow, "optional": True}, self.counter("b"), self.counter("c", requires=["slow"], optional=True))
        child = self.shell(config)
        self.assertEqual(self.ask(config, "call", "b", "get"), "0\n")
        services = self.listed(config)[0]
        self.assertEqual([services[name]["state"] for name in ("slow", "b", "c")], ["failed", "started", "failed"])
        self.assertIn("requires slow", services["c"]["why"])
        self.ends(child)

    def test_an_optional_service_whose_init_fails_is_not_started(self):
        config = self.config(self.counter("a", "FAIL=init", optional=True), self.counter("b"))
        child = self.shell(config)
        row = self.listed(config)[0]["a"]
        self.assertEqual(row["state"], "failed")
        self.assertIn("init failed, it returned -5", row["why"])
        self.assertEqual(self.ask(config, "call", "b", "get"), "0\n")
        self.ends(child)

    def test_a_stop_that_blocks_is_told_left_mapped_and_let_go_when_it_comes_back(self):
        config = self.config(self.counter("a", "BLOCK=stop", stop_timeout_ms=200), self.counter("b"))
        child = self.shell(config)
        said = self.ask(config, "unload", "a", code=1)
        self.assertIn("service a: stop failed, it has not returned within 200ms", said)
        left = self.listed(config)[1]["left"]
        self.assertEqual((left[0]["services"], left[0]["why"]), (["a"], ["its thread has not come back from stop of a"]))
        self.assertEqual(len(self.mapped(child)), 2)
        self.assertIn("is left mapped", self.ask(config, "list"))
        self.assertEqual(self.ask(config, "call", "b", "get"), "0\n")
        self.go()
        wait_for("the library to go", lambda: self.listed(config)[1]["left"] == [])
        self.assertEqual(len(self.mapped(child)), 1)
        self.ends(child)

    def test_the_end_waits_no_longer_than_a_stop_may_take(self):
        config = self.config(self.counter("a", "BLOCK=stop", stop_timeout_ms=200), self.plugin("b"))
        said = self.ends(self.shell(config), 1)
        self.assertIn("service a: stop failed, it has not returned within 200ms", said)
        self.assertEqual(self.diary(), ["b.init", "b.start", "b.stop", "b.deinit"])

    def test_threads_that_are_left_keep_their_library_and_are_named(self):
        for define, thread in (("SLEEPER", "left behind"), ("SPIN", "svc:a")):
            with self.subTest(define=define):
                (self.house.folder / "go").unlink(missing_ok=True)
                config = self.config(self.counter("a", define), self.counter("b"))
                child = self.shell(config)
                told = self.ask(config, "unload", "a")
                self.assertRegex(told, rf"is left mapped: thread '{thread}' \(\d+\) (still runs|is too busy)")
                wait_for("the record", lambda: re.search(rf"WARN.*is left mapped: thread '{thread}'", self.log_text()))
                self.assertIn("service a is started", self.ask(config, "load", "a"), "beside it, it can be loaded again")
                self.go()
                wait_for("the library to go", lambda: self.listed(config)[1]["left"] == [])
                self.ends(child)
                (self.house.log / "msf_shell.trial.log").unlink()

    def test_a_timer_that_is_left_keeps_the_library_and_one_in_its_loop_goes_with_that(self):
        config = self.config(self.counter("a", "TIMER"), self.counter("b", "LOOP", "LEAVE"), self.counter("c"))
        child = self.shell(config)
        self.assertIn("is left mapped: a timer of msf_timer_add is still to call it", self.ask(config, "unload", "a"))
        self.assertEqual(self.listed(config)[1]["left"][0]["services"], ["a"])
        self.assertIn("is unmapped", self.ask(config, "unload", "b"))
        wait_for("the record", lambda: "it had left 0 events and 1 timers in its loop" in self.log_text())
        self.assertEqual(self.ask(config, "call", "c", "get"), "0\n")
        self.ends(child)

    def test_descriptors_and_pools_that_are_left_are_named(self):
        config = self.config(self.careless("a"), self.counter("b"))
        child = self.shell(config)
        services = {service["name"]: service for service in json.loads(self.ask(config, "stats", "--json"))["services"]}
        self.assertEqual((services["a"]["fds"], services["b"]["fds"], services["b"]["pool_bytes"]), (1, 0, 0))
        self.assertGreater(services["a"]["pool_bytes"], 64)
        self.assertIn("is unmapped", self.ask(config, "unload", "a"))
        for words in ("it has left descriptor", "open, /dev/zero", "it has left pools with"):
            wait_for(words, lambda words=words: words in self.log_text())
        self.ends(child)

    def test_a_signal_handler_that_is_left_is_taken_away(self):
        config = self.config(self.counter("a", "HANDLER"), self.counter("b"))
        child = self.shell(config)
        self.assertIn("is unmapped", self.ask(config, "unload", "a"))
        wait_for("the record", lambda: "it had left a handler for signal 12, which was taken away" in self.log_text())
        caught = re.search(r"^SigCgt:\s*(\w+)", Path(f"/proc/{child.pid}/status").read_text(), re.M)[1]
        self.assertFalse(int(caught, 16) >> (signal.SIGUSR2 - 1) & 1)
        self.ends(child)

    def test_a_library_that_calls_what_is_nowhere_is_refused_in_the_loaders_words(self):
        entry = self.bad("s32 nowhere_to_be_found(void); return nowhere_to_be_found();", optional=True)
        config = self.config(entry, self.counter("b"))
        child = self.shell(config)
        self.assertIn("libbad.so cannot be loaded", self.listed(config)[0]["bad"]["why"])
        wait_for("the loader's words", lambda: "undefined symbol: nowhere_to_be_found" in self.log_text())
        self.assertIn("libbad.so cannot be loaded", self.ask(config, "load", "bad", code=1))
        self.assertEqual(len(self.mapped(child)), 1)
        self.assertEqual(self.ask(config, "call", "b", "get"), "0\n")
        self.ends(child)

    def test_a_call_that_does_not_return_is_given_up_and_those_behind_it_wait(self):
        config = self.config(self.bad('while (access("go", F_OK) != 0) usleep(1000); return 7;'), self.counter("b"))
        child = self.shell(config)
        for _ in range(2):
            said = self.ask(config, "call", "bad", "msg_handler", "--timeout", "50", code=1)
            self.assertIn("service bad: msg_handler: it has not returned within 50ms", said)
        self.assertEqual(self.ask(config, "call", "b", "get"), "0\n")
        self.go()
        self.assertEqual(json.loads(self.ask(config, "call", "bad", "msg_handler", "--json"))["code"], 7)
        self.assertIn("is unmapped", self.ask(config, "unload", "bad"))
        self.ends(child)

    def test_a_process_that_it_has_forked_stays(self):
        # It keeps nothing of the shell's open, whose end would not be seen otherwise.
        entry = self.bad("pid_t p = fork(); if (p == 0) { for (int fd = 0; fd < 200; fd++) close(fd); for (;;) sleep(1); } return p;")
        config = self.config(entry, self.counter("b"))
        child = self.shell(config)
        fork = json.loads(self.ask(config, "call", "bad", "msg_handler", "--json"))["code"]
        self.addCleanup(lambda: gone(fork) or os.kill(fork, signal.SIGKILL))
        self.assertIn("is unmapped", self.ask(config, "unload", "bad"))
        self.ends(child)
        self.assertFalse(gone(fork))

    def test_tables_of_another_contract_are_refused_before_anything_is_called(self):
        for define, said in (("ABI=2", "its abi is 2; expected MSF_SVC_ABI, which is 1"), ("SIZE=8", "its size is 8; expected"),
                             ("SIZE=100000", "its size is 100000; the variable has")):
            self.fails(self.config(self.counter("a", define)), 1, "service a", "liba.so", said)


class LastWords(PluginCase):
    """A plugin that ends the process is named in the log, and the signal does what it does."""

    SLOTS = {
        "SIGSEGV": "volatile int *nowhere = (int *)8; return *nowhere;",
        "SIGABRT": "abort();",
        "SIGFPE": "volatile int zero = 0; return 7 / zero;",
        "SIGILL": "__builtin_trap();",
        "stack": "return deeper(0);",
        "thread": "pthread_t t; pthread_create(&t, NULL, crash, NULL); pthread_join(t, NULL); return 0;",
    }

    def test_a_fault_in_a_plugin_is_told_by_its_name(self):
        for name, body in self.SLOTS.items():
            with self.subTest(name=name):
                config = self.config(self.bad(body, more=CRASHES), self.counter("b"))
                child = self.shell(config)
                self.assertIn("has ended before it answered", self.ask(config, "call", "bad", "msg_handler", code=1))
                status = child.wait(10)
                sign = {"stack": signal.SIGSEGV, "thread": signal.SIGSEGV}.get(name) or getattr(signal, name)
                self.assertEqual(status, -sign)
                said = child.stderr.read()
                words = rf"msf_shell: {signal.Signals(sign).name} in service bad, at its code \+ 0x[0-9a-f]+, thread 'svc:bad'"
                self.assertRegex(said, words)
                self.assertRegex(self.log_text(), words)
                for file in (*self.house.run.iterdir(), *self.house.log.iterdir()):
                    file.unlink()

    @unittest.skipUnless(shutil.which("g++"), "no C++ here")
    def test_an_exception_that_nobody_catches_is_told(self):
        config = self.config(self.thrower(), self.counter("b"))
        child = self.shell(config)
        self.ask(config, "call", "bad", "msg_handler", code=1)
        self.assertEqual(child.wait(10), -signal.SIGABRT)
        # Its frames are gone when it is caught, so there is no address of its code; but its thread is called after it.
        words = "msf_shell: SIGABRT in no service's code, thread 'svc:bad'"
        self.assertIn(words, child.stderr.read())
        self.assertIn(words, self.log_text())

    def test_an_exit_is_the_shells_and_nobody_is_stopped(self):
        config = self.config(self.bad("exit(5);"), self.plugin("b"))
        child = self.shell(config)
        self.assertIn("has ended before it answered", self.ask(config, "call", "bad", "msg_handler", code=1))
        self.assertEqual(child.wait(10), 5)
        self.assertEqual(self.diary(), ["b.init", "b.start"])

    def test_a_panic_that_leaves_rust_and_an_abort_are_told(self):
        config = self.config(hostile(self))
        for command in ("abort", "overflow"):
            child = self.shell(config)
            self.ask(config, "call", "hostile", command, "x", code=1)
            self.assertLess(child.wait(10), 0)
            self.assertIn("in service hostile, at its code", child.stderr.read())
            for file in self.house.run.iterdir():
                file.unlink()


if __name__ == "__main__":
    unittest.main()
