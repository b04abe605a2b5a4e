"""Isolated services of msf_shell: a process of their own, its death and replacement, and what they may do there."""

import ctypes
import errno
import json
import os
import resource
import signal
import threading
import time
import unittest
from pathlib import Path

from house import gone, program, wait_for
from test_daemon_old_kernel import be_old, can_be_old
from test_shell_plugins import PluginCase, Rust


# The promise is 0.1 s; other tests run beside this one.
PROMPT = 0.5


class IsolateCase(PluginCase):
    def lone(self, name, *defines, **entry):
        """A counter in a process of its own."""
        return self.counter(name, *defines, isolate=True, **entry)

    def bad(self, body, name="bad", more="", **entry):
        """A service whose `msg_handler` does what `body` says, in a process of its own."""
        source = self.house.folder / f"{name}.c"
        source.write_text("#define _GNU_SOURCE\n#include <errno.h>\n#include <fcntl.h>\n#include <pthread.h>\n#include <stdio.h>\n"
                          "#include <stdlib.h>\n#include <string.h>\n#include <unistd.h>\n#include <msf_svc.h>\n" + more +
                          f"static s32 work(void *data, u32 len) {{ (void)data, (void)len; {body} }}\n"
                          f"struct msf_svc {name} = {{ .msg_handler = work }};\n")
        self.house.compile(source, self.house.folder / f"lib{name}.so", "-shared", "-fPIC", "-O0", "-Wno-infinite-recursion",
                           "-Wno-unused-function", "-Wno-return-type")
        return {"svc_name": name, "svc_libs": f"lib{name}.so", "isolate": True, **entry}

    def pid_of(self, config, name="a", other_than=None):
        """The process of a service that is up."""
        def found():
            row = self.listed(config)[0].get(name, {})
            return row.get("pid") if row.get("pid") != other_than and "why" not in row else None
        return wait_for("its process", found)

    def own_log(self, name="a"):
        return self.house.text(f"msf_shell.trial.{name}.log")

    def children(self, child):
        found = []
        for task in Path(f"/proc/{child.pid}/task").iterdir():
            try:
                found += [int(pid) for pid in (task / "children").read_text().split()]
            except OSError:
                pass        # a thread that has just ended
        return found


class Apart(IsolateCase):
    def test_it_works_as_any_other_and_its_process_is_its_own(self):
        config = self.config(self.lone("a", "LOOP", config={"b": [1, "x"]}), self.counter("b"))
        child = self.shell(config)
        self.assertEqual(self.ask(config, "call", "a", "add", "5"), "5\n")
        self.assertEqual(self.ask(config, "call", "a", "config"), '{"b":[1,"x"]}\n')
        wait_for("its loop", lambda: self.ask(config, "call", "a", "loop") == "mine\n")
        answer = json.loads(self.ask(config, "call", "a", "echo", "00ff80", "--hex", "--json"))
        self.assertEqual(answer, {"code": 0, "hex": "00ff80"})
        self.assertIn("no such command", self.ask(config, "call", "a", "fly", code=1))
        row = self.listed(config)[0]["a"]
        self.assertEqual((row["state"], row["version"], row["functions"], row["isolated"]), ("started", "1.1", ["add"], True))
        self.assertEqual(self.children(child), [row["pid"]])
        self.assertEqual({name.split(".")[0] for name in self.mapped(child)}, {"b"})
        self.assertIn("generation.a.1", Path(f"/proc/{row['pid']}/maps").read_text())
        self.assertEqual(Path(f"/proc/{row['pid']}/cmdline").read_bytes().rstrip(b"\0"), b"msf_shell: trial a")
        self.assertIn(f"a: in process {row['pid']}, replaced 0 times", self.ask(config, "list"))
        stats = {one["name"]: one for one in json.loads(self.ask(config, "stats", "--json"))["services"]}["a"]
        self.assertEqual((stats["pid"], stats["health"], stats["timers"]), (row["pid"], "well", 1))
        self.assertGreater(stats["rss_bytes"], 500_000)
        self.assertGreaterEqual(stats["threads"], 2)
        self.assertIn("service a: init", self.own_log())
        self.ends(child)
        self.assertTrue(gone(row["pid"]))
        self.assertIn("service a: deinit", self.own_log())

    def test_it_is_loaded_unloaded_and_upgraded_with_its_state(self):
        config = self.config(self.counter("b"), self.lone("a"))
        child = self.shell(config)
        first = self.pid_of(config)
        self.ask(config, "call", "a", "add", "40")
        self.counter("a", "BUILD=2")
        self.assertRegex(self.ask(config, "upgrade", "a"), r"generation 2, with its state; generation 1 of \S+ has ended with its process")
        self.assertEqual(self.ask(config, "call", "a", "add", "2"), "42\n")
        self.assertEqual(self.ask(config, "call", "a", "generation"), "2 build 2\n")
        self.assertNotEqual(self.pid_of(config), first)
        self.assertTrue(gone(first))
        self.assertIn("has ended with its process", self.ask(config, "unload", "a"))
        self.assertEqual(self.children(child), [])
        self.assertIn("service a is started", self.ask(config, "load", "a"))
        self.assertEqual(self.ask(config, "call", "a", "get"), "0\n")
        self.ask(config, "call", "a", "add", "7")
        for wrong, said in (("FAIL=init", "init failed"), ("FAIL=start", "start failed"), ("FAIL=import_state", "import_state failed"),
                            ("ABI=9", "its abi is 9"), ("SIZE=4000", "its size is 4000; the variable has")):
            self.counter("a", "BUILD=2", wrong)
            told = self.ask(config, "upgrade", "a", code=1)
            self.assertIn(said, told)
            self.assertIn("generation 1 goes on", told)
            self.assertEqual(self.ask(config, "call", "a", "get"), "7\n")
        self.assertEqual(len(self.children(child)), 1)
        self.ends(child)

    def test_it_moves_out_and_back_with_its_state(self):
        config = self.config(self.counter("a"))
        child = self.shell(config)
        self.ask(config, "call", "a", "add", "5")
        self.config(self.lone("a"))
        self.assertIn("upgraded to generation 2, with its state", self.ask(config, "reload"))
        self.assertEqual(self.ask(config, "call", "a", "add", "1"), "6\n")
        self.assertEqual((len(self.children(child)), self.mapped(child)), (1, set()))
        self.assertIn("nothing has changed", self.ask(config, "reload"))
        self.config(self.counter("a"))
        self.assertIn("upgraded to generation 3, with its state", self.ask(config, "reload"))
        self.assertEqual(self.ask(config, "call", "a", "get"), "6\n")
        self.assertEqual(self.children(child), [])
        self.ends(child)

    def test_no_call_and_no_count_is_lost_by_upgrades_under_calls(self):
        config = self.config(self.lone("a"))
        child = self.shell(config)
        stop, counts, wrong = threading.Event(), [0] * 3, []

        def caller(number):
            with self.talk(refused=True) as ask:
                while not stop.is_set():
                    answer = ask(verb="call", service="a", command="add", text="1")
                    if answer.get("code") == 0:
                        counts[number] += 1
                    else:
                        wrong.append(answer)
        threads = [threading.Thread(target=caller, args=(number,)) for number in range(len(counts))]
        for thread in threads:
            thread.start()
        with self.talk() as ask:
            for _ in range(8):
                ask(verb="upgrade", service="a")
            stop.set()
            for thread in threads:
                thread.join()
            self.assertEqual(wrong, [])
            self.assertEqual(ask(verb="call", service="a", command="get")["text"], str(sum(counts)))
        self.assertGreater(sum(counts), 8)
        self.assertEqual(len(self.children(child)), 1)
        self.ends(child)


class Death(IsolateCase):
    def test_a_killed_process_is_replaced_and_its_callers_are_told_at_once(self):
        config = self.config(self.bad("usleep(20000000); return 0;", more="#include <msf_log.h>\n"), self.counter("b"))
        child = self.shell(config)
        first = self.pid_of(config, "bad")
        heard = []

        def caller():
            with self.talk(refused=True) as ask:
                heard.append((ask(verb="call", service="bad", command="msg_handler"), time.monotonic()))
        threads = [threading.Thread(target=caller) for _ in range(4)]
        for thread in threads:
            thread.start()
        wait_for("the calls", lambda: self.listed(config)[0]["bad"]["calls"] == 4)
        killed = time.monotonic()
        os.kill(first, signal.SIGKILL)
        for thread in threads:
            thread.join()
        for answer, when in heard:
            self.assertIn(f"service bad: msg_handler failed, its process {first} was ended by SIGKILL", answer["error"])
            self.assertLess(when - killed, PROMPT)
        second = self.pid_of(config, "bad", first)
        row = self.listed(config)[0]["bad"]
        self.assertEqual((row["respawns"], row["state"]), (1, "started"))
        self.assertEqual(self.children(child), [second])
        wait_for("the event", lambda: f"service bad: its process {first} was ended by SIGKILL; it is started again" in self.log_text())
        self.assertEqual(self.ask(config, "call", "b", "get"), "0\n")
        self.ends(child)

    def test_a_call_right_after_a_death_waits_for_the_next_process(self):
        config = self.config(self.lone("a"))
        child = self.shell(config)
        with self.talk(refused=True) as ask:
            for _ in range(5):
                before = self.pid_of(config)
                os.kill(before, signal.SIGKILL)
                wait_for("its end", lambda before=before: gone(before))
                began = time.monotonic()
                answer = ask(verb="call", service="a", command="add", text="1")
                self.assertLess(time.monotonic() - began, PROMPT)
                # On a machine that is busy the next process may need longer than a call waits.
                self.assertTrue(answer.get("text") == "1" or "it is not back yet" in answer["error"], answer)
        self.ends(child)

    def test_what_a_process_has_not_taken_the_next_one_gets_and_nobody_gets_it_twice(self):
        config = self.config(self.bad('FILE *f = fopen("taken", "a"); fprintf(f, "%.*s\\n", (int)len, (char *)data); fclose(f); return 0;',
                                      restart={"immediate": 100}))
        child = self.shell(config)
        over, answers = threading.Event(), {}

        def caller(name):
            with self.talk(refused=True) as ask:
                number = 0
                while not over.is_set():
                    number += 1
                    answers[f"{name}.{number}"] = ask(verb="call", service="bad", command="msg_handler", text=f"{name}.{number}")
        threads = [threading.Thread(target=caller, args=(name,)) for name in range(8)]
        for thread in threads:
            thread.start()
        before = None
        for _ in range(10):
            before = self.pid_of(config, "bad", before)
            since = len(answers)
            wait_for("calls", lambda since=since: len(answers) > since + 50)
            os.kill(before, signal.SIGKILL)
        self.pid_of(config, "bad", before)
        over.set()
        for thread in threads:
            thread.join()
        taken = (self.house.folder / "taken").read_text().split()
        self.assertEqual(len(taken), len(set(taken)), "one was given to two processes")
        self.assertEqual({name for name, answer in answers.items() if "error" not in answer} - set(taken), set())
        for answer in answers.values():
            self.assertRegex(answer.get("error", "it is not back yet"), "was ended by SIGKILL|it is not back yet")
        self.ends(child)

    def test_every_way_to_end_is_told_and_survived(self):
        more = ("s32 deeper(int depth);\n"
                "s32 deeper(int depth) { volatile char room[4096]; memset((char *)room, depth & 1, 4096); "
                "return room[depth & 7] == 7 ? 1 : deeper(depth + 1) + room[1]; }\n"
                "void *crash(void *arg);\nvoid *crash(void *arg) { (void)arg; *(volatile int *)16 = 1; return NULL; }\n")
        ways = {"SIGSEGV": "volatile int *nowhere = (int *)8; return *nowhere;", "SIGABRT": "abort();", "SIGILL": "__builtin_trap();",
                "SIGFPE": "volatile int zero = 0; return 7 / zero;", "status 3": "exit(3);", "stack": "return deeper(0);",
                "thread": "pthread_t t; pthread_create(&t, NULL, crash, NULL); pthread_join(t, NULL); return 0;"}
        body = "".join(f'if (!memcmp(data, "{way}", len)) {{ {way_to_end} }} ' for way, way_to_end in ways.items())
        config = self.config(self.bad(body, more=more), self.counter("b"))
        child = self.shell(config)
        for way in ways:
            with self.subTest(way=way):
                before = self.pid_of(config, "bad")
                said = self.ask(config, "call", "bad", "msg_handler", way, code=1)
                sign = {"stack": "SIGSEGV", "thread": "SIGSEGV"}.get(way, way)
                self.assertRegex(said, rf"service bad: msg_handler failed, its process {before} "
                                 rf"(was ended by {sign}|has ended by itself, with {sign}|crashes)")
                self.assertNotEqual(self.pid_of(config, "bad", before), before)
                if sign.startswith("SIG"):
                    self.assertRegex(self.own_log("bad"), rf"msf_shell: {sign} in service bad, at its code \+ 0x[0-9a-f]+")
        self.assertEqual(self.ask(config, "call", "b", "get"), "0\n")
        self.ends(child)

    def test_one_that_cannot_stay_up_is_tried_ever_more_slowly_and_nobody_hangs(self):
        entry = self.bad("abort();", restart={"immediate": 4, "delay_ms": 300, "refill_ms": 60000})
        config = self.config(entry, self.counter("b"))
        child = self.shell(config)
        deadline = time.monotonic() + 20
        while "it is started again in 300ms" not in self.log_text():
            self.assertLess(time.monotonic(), deadline)
            began = time.monotonic()
            self.ask(config, "call", "bad", "msg_handler", code=1)
            self.assertLess(time.monotonic() - began, 2)
        self.assertGreaterEqual(self.listed(config)[0]["bad"]["respawns"], 4)
        self.bad("return 7;")
        self.assertIn("generation 2", self.ask(config, "upgrade", "bad"))
        self.assertEqual(json.loads(self.ask(config, "call", "bad", "msg_handler", "--json"))["code"], 7)
        self.ends(child)

    def test_one_that_is_not_to_come_back_does_not(self):
        for policy, end, back in (("never", "raise(9);", False), ("on-failure", "exit(0);", False), ("on-failure", "exit(1);", True)):
            with self.subTest(policy=policy, end=end):
                config = self.config(self.bad(end, more="#include <signal.h>\n", restart={"policy": policy}), self.counter("b"))
                child = self.shell(config)
                before = self.pid_of(config, "bad")
                self.ask(config, "call", "bad", "msg_handler", code=1)
                if back:
                    self.assertNotEqual(self.pid_of(config, "bad", before), before)
                else:
                    row = self.listed(config)[0]["bad"]
                    self.assertEqual((row["pid"], row["respawns"]), (None, 0))
                    self.assertIn(f"its process {before}", row["why"])
                    self.assertIn(f"its process {before}", self.ask(config, "call", "bad", "msg_handler", code=1))
                    self.ask(config, "unload", "bad")
                    self.assertIn("service bad is started", self.ask(config, "load", "bad"))
                self.ends(child)

    def test_it_ends_with_its_shell_and_leaves_nothing(self):
        config = self.config(self.lone("a"), self.lone("c", "SLEEPER"))
        child = self.shell(config)
        pids = [self.pid_of(config, "a"), self.pid_of(config, "c")]
        child.kill()
        child.wait(10)
        for pid in pids:
            wait_for("its end", lambda pid=pid: gone(pid))
        child = self.shell(config)
        self.assertEqual(self.ask(config, "call", "a", "get"), "0\n")
        self.ends(child)
        self.assertEqual(self.children_left(), [])

    def children_left(self):
        """Processes that work in this test's folder."""
        left = []
        for proc in Path("/proc").iterdir():
            if proc.name.isdigit():
                try:
                    if os.readlink(proc / "cwd") == str(self.house.folder):
                        left.append(proc.name)
                except OSError:
                    pass
        return left


class Misbehaviour(IsolateCase):
    """The table of doc/shell.md, with every row in a process of its own."""

    LONG = True

    def goes_on(self, config, child, processes=0):
        self.assertEqual(self.ask(config, "call", "b", "get"), "0\n")
        self.assertEqual(len(self.children(child)), processes)
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

    def test_a_panic_is_an_answer_and_an_abort_a_new_process(self):
        config = self.config(Rust.hostile(self, isolate=True), self.counter("b"))
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

    def test_a_fork_ends_with_its_process(self):
        entry = self.bad("pid_t p = fork(); if (p == 0) for (;;) sleep(1); return p;")
        config = self.config(entry, self.counter("b"))
        child = self.shell(config)
        fork = json.loads(self.ask(config, "call", "bad", "msg_handler", "--json"))["code"]
        first = self.pid_of(config, "bad")
        os.kill(first, signal.SIGKILL)
        self.assertNotEqual(self.pid_of(config, "bad", first), first, "though the fork holds its socket")
        wait_for("the fork's end", lambda: gone(fork))
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


class Household(IsolateCase):
    def test_a_detached_shell_lets_go_of_its_caller_and_logs_are_opened_anew(self):
        config = self.config(self.lone("a"))
        done = self.call("-c", config, "-d")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        pid = self.pid_of(config)
        self.assertEqual({os.readlink(f"/proc/{pid}/fd/{fd}") for fd in (0, 1, 2)}, {"/dev/null"})
        names = ["msf_shell.trial.log", "msf_shell.trial.a.log"]
        for name in names:
            (self.house.log / name).rename(self.house.log / f"{name}.old")
        self.assertEqual(self.call("-c", config, "-k", "rotate").returncode, 0)
        self.assertEqual(self.ask(config, "call", "a", "get"), "0\n")
        wait_for("the new log", (self.house.log / names[0]).exists)
        shell = int((self.house.run / "msf_shell.trial.pid").read_text())
        self.assertEqual(self.call("-c", config, "-k", "shutdown").returncode, 0)
        wait_for("the end", lambda: gone(shell) and gone(pid))
        self.assertIn("service a: deinit", self.own_log())
        self.assertEqual(list(self.house.run.iterdir()), [])


class Sandbox(IsolateCase):
    """A service that tries what it is told to, and answers with errno."""

    TRIES = r"""
        #include <fcntl.h>
        #include <sched.h>
        #include <signal.h>
        #include <sys/ioctl.h>
        #include <sys/mount.h>
        #include <sys/ptrace.h>
        #include <sys/resource.h>
        #include <sys/socket.h>
        #include <sys/stat.h>
        #include <sys/syscall.h>
        #include <sys/wait.h>
        static void *idle(void *arg) { return arg; }
        static s32 opens(const char *path, int how) { int fd = open(path, how, 0600); if (fd < 0) return errno; close(fd); return 0; }
        static s32 spawns(const char *path)
        {
            int status = 0;
            pid_t pid = fork();
            if (pid < 0) return errno;
            if (pid == 0) { execl(path, path, (char *)NULL); _exit(errno); }
            return waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : 255;
        }
        static s32 attempt(const char *what)
        {
            struct rlimit limit;
            const char *path = strchr(what, ' ');
            errno = 0;
            if (path) path++;
            if (!strncmp(what, "read ", 5)) return opens(path, O_RDONLY);
            if (!strncmp(what, "write ", 6)) return opens(path, O_WRONLY | O_CREAT);
            if (!strncmp(what, "mkdir ", 6)) return mkdir(path, 0700) == 0 ? 0 : errno;
            if (!strncmp(what, "run ", 4)) return spawns(path);
            if (!strcmp(what, "mount")) return mount("none", "/mnt", "tmpfs", 0, NULL) == 0 ? (umount("/mnt"), 0) : errno;
            if (!strcmp(what, "unshare")) return unshare(CLONE_NEWUTS) == 0 ? 0 : errno;
            if (!strcmp(what, "setns")) return setns(-1, 0) == 0 ? 0 : errno;
            if (!strcmp(what, "ptrace")) return ptrace(PTRACE_TRACEME, 0, 0, 0) == 0 ? 0 : errno;
            if (!strcmp(what, "bpf")) return syscall(SYS_bpf, 0, NULL, 0) >= 0 ? 0 : errno;
            if (!strcmp(what, "perf")) return syscall(SYS_perf_event_open, NULL, 0, -1, -1, 0) >= 0 ? 0 : errno;
            if (!strcmp(what, "module")) return syscall(SYS_init_module, NULL, 0, "") == 0 ? 0 : errno;
            if (!strcmp(what, "kexec")) return syscall(SYS_kexec_load, 0, 0, NULL, ~0UL) == 0 ? 0 : errno;
            if (!strcmp(what, "reboot")) return syscall(SYS_reboot, 0, 0, 0, NULL) == 0 ? 0 : errno;
            if (!strcmp(what, "hostname")) return syscall(SYS_sethostname, "", -1) == 0 ? 0 : errno;
            if (!strcmp(what, "chroot")) return chroot("/") == 0 ? 0 : errno;
            if (!strcmp(what, "uring")) return syscall(SYS_io_uring_setup, 0, NULL) >= 0 ? 0 : errno;
            if (!strcmp(what, "sti")) return ioctl(0, TIOCSTI, "x") == 0 ? 0 : errno;
            if (!strcmp(what, "clone")) {
                long pid = syscall(SYS_clone, CLONE_NEWUTS | SIGCHLD, 0, 0, 0, 0);
                if (pid == 0) _exit(0);
                return pid > 0 ? (waitpid((pid_t)pid, NULL, 0), 0) : errno;
            }
            if (!strcmp(what, "clone3")) return syscall(SYS_clone3, NULL, 0) >= 0 ? 0 : errno;
            if (!strcmp(what, "thread")) {
                pthread_t thread;
                int code = pthread_create(&thread, NULL, idle, NULL);
                return code ? code : pthread_join(thread, NULL);
            }
            if (!strcmp(what, "socket")) { int fd = socket(AF_INET, SOCK_STREAM, 0); return fd < 0 ? errno : (close(fd), 0); }
            if (!strcmp(what, "nofile")) return getrlimit(RLIMIT_NOFILE, &limit) == 0 ? (s32)limit.rlim_cur : -1;
            if (!strcmp(what, "fds")) {
                int fds[64], count = 0, why;
                while (count < 64 && (fds[count] = dup(0)) >= 0) count++;
                for (why = errno; count > 0; count--) close(fds[count - 1]);
                return why;
            }
            if (!strcmp(what, "memory")) { void *much = malloc((size_t)1 << 32); int none = much == NULL; free(much); return none ? ENOMEM : 0; }
            return 199;
        }
    """
    WORK = "char what[200] = \"\"; memcpy(what, data, len < 199 ? len : 199); return attempt(what);"

    def trying(self, name="t", **sandbox):
        return self.bad(self.WORK, name, self.TRIES, sandbox=sandbox)

    def attempt(self, what, name="t"):
        with self.talk(refused=True) as ask:
            answer = ask(verb="call", service=name, command="msg_handler", text=what)
        self.assertIn("code", answer, answer)
        return answer["code"]

    FORBIDDEN = ("mount", "unshare", "setns", "ptrace", "bpf", "perf", "module", "kexec", "reboot", "hostname", "chroot", "uring",
                 "sti", "clone")

    @unittest.skipUnless(os.uname().machine in ("x86_64", "aarch64"), "seccomp profiles are for these machines")
    def test_the_profile_refuses_what_no_service_needs_and_lets_it_work(self):
        config = self.config(self.trying(seccomp="service", required=True))
        child = self.shell(config)
        for what in self.FORBIDDEN:
            self.assertEqual(self.attempt(what), errno.EPERM, what)
        self.assertEqual(self.attempt("clone3"), errno.ENOSYS)
        for what in ("thread", "socket", "read /etc/passwd", f"write {self.house.folder}/written", "run /bin/true"):
            self.assertEqual(self.attempt(what), 0, what)
        pid = self.pid_of(config, "t")
        for task in Path(f"/proc/{pid}/task").iterdir():
            status = (task / "status").read_text()
            self.assertRegex(status, r"Seccomp:\s+2", "every thread of it")
            self.assertRegex(status, r"NoNewPrivs:\s+1")
        self.assertIn("t: sandboxed by seccomp service", self.ask(config, "list"))
        self.assertEqual(self.listed(config)[0]["t"]["sandbox_lacks"], [])
        os.kill(pid, signal.SIGKILL)
        self.pid_of(config, "t", pid)
        self.assertEqual(self.attempt("unshare"), errno.EPERM, "its successor is in one, too")
        self.ends(child)

    def test_without_a_sandbox_nothing_is_refused(self):
        config = self.config(self.bad(self.WORK, "t", self.TRIES))
        child = self.shell(config)
        self.assertNotEqual(self.attempt("sti"), errno.EPERM if os.geteuid() == 0 else None)
        self.assertEqual(self.attempt("thread"), 0)
        self.assertEqual(self.attempt(f"write {self.house.folder}/written"), 0)
        if os.geteuid() == 0:
            self.assertEqual(self.attempt("unshare"), 0)
        self.ends(child)

    @unittest.skipUnless(ctypes.CDLL(None).syscall(444, None, 0, 1) > 0, "this kernel has no landlock")
    def test_files_outside_cannot_be_opened_and_those_inside_can(self):
        folder = self.house.folder
        for name in ("mine", "shown", "secret"):
            (folder / name).mkdir()
            (folder / name / "file").write_text("x")
        config = self.config(self.trying(landlock={"read": [f"{folder}/shown"], "write": [f"{folder}/mine"], "execute": ["/bin", "/usr/bin"]},
                                         required=True))
        child = self.shell(config)
        allowed = (f"read {folder}/shown/file", f"write {folder}/mine/new", f"mkdir {folder}/mine/folder", f"read {folder}/mine/file",
                   "run /bin/true", "read /dev/urandom", "write /dev/null", "thread")
        for what in allowed:
            self.assertEqual(self.attempt(what), 0, what)
        for what in (f"read {folder}/secret/file", f"write {folder}/shown/new", f"mkdir {folder}/shown/folder", "read /etc/passwd",
                     f"read {config}", f"write {folder}/secret/new", f"read {folder}/mine/../secret/file", f"read /proc/{child.pid}/environ"):
            self.assertEqual(self.attempt(what), errno.EACCES, what)
        self.assertIn("is service t's", self.own_log("t"), "its log is written")
        self.assertIn("t: sandboxed by landlock", self.ask(config, "list"))
        self.ends(child)

    def test_limits_hold(self):
        config = self.config(self.trying(rlimits={"nofile": [40, 50], "as": 2 << 30, "core": 0}, no_new_privs=True))
        child = self.shell(config)
        self.assertEqual(self.attempt("nofile"), 40)
        self.assertEqual(self.attempt("memory"), errno.ENOMEM)
        self.assertEqual(self.attempt("fds"), errno.EMFILE)
        pid = self.pid_of(config, "t")
        self.assertRegex(Path(f"/proc/{pid}/limits").read_text(), r"Max open files\s+40\s+50")
        self.assertRegex(Path(f"/proc/{pid}/status").read_text(), r"NoNewPrivs:\s+1")
        holds = self.listed(config)[0]["t"]["sandbox"]
        self.assertEqual(holds, ["rlimit as", "rlimit core", "rlimit nofile", "no_new_privs"])
        self.ends(child)

    def test_what_cannot_be_put_in_force_is_told_or_refused(self):
        entry = self.trying(landlock={"read": [f"{self.house.folder}/nowhere"]})
        self.fails(self.config(entry), 1, "service t: sandbox.landlock.read[0]", "nowhere: No such file")
        self.fails(self.config({**entry, "sandbox": {"rlimits": {"nofile": 1 << 40}}}), 1, "service t: sandbox.rlimits.nofile")
        self.fails(self.config({**entry, "isolate": False}), 2, "proc_svcs[0].sandbox: is about a process of its own")
        self.fails(self.config({**entry, "sandbox": {"secomp": "service"}}), 2, 'secomp: unknown key; did you mean "seccomp"?')

    @unittest.skipUnless(can_be_old(), "no seccomp filter can be set here")
    def test_a_kernel_without_landlock_is_warned_about_or_refused(self):
        entry = self.trying(landlock={"read": ["/etc"]}, seccomp="service")
        config = self.config(entry)
        child = self.shell(config, preexec_fn=lambda: be_old(absent=(444, 445, 446)))
        row = self.listed(config)[0]["t"]
        self.assertEqual((row["sandbox"], row["sandbox_lacks"]), (["seccomp service"], ["landlock is not to be had in this kernel"]))
        self.assertIn("t: not sandboxed: landlock is not to be had", self.ask(config, "list"))
        wait_for("the warning", lambda: "WARN" in self.own_log("t") and "landlock is not to be had" in self.own_log("t"))
        self.ends(child)
        config = self.config({**entry, "sandbox": {**entry["sandbox"], "required": True}})
        done = self.call("-c", config, preexec_fn=lambda: be_old(absent=(444, 445, 446)))
        self.assertEqual(done.returncode, 1)
        self.assertIn("service t: sandbox: landlock is not to be had in this kernel, and it is required", done.stderr)

    @unittest.skipUnless(can_be_old(), "no seccomp filter can be set here")
    def test_deaths_are_found_where_the_kernel_has_no_pidfds(self):
        config = self.config(self.lone("a"))
        child = self.shell(config, preexec_fn=be_old)
        first = self.pid_of(config)
        os.kill(first, signal.SIGKILL)
        self.assertNotEqual(self.pid_of(config, "a", first), first)
        self.assertEqual(self.ask(config, "call", "a", "get"), "0\n")
        self.ends(child)


def load_tests(loader, _tests, _pattern):
    """Of this file only: what it borrows is tested where it lives."""
    cases = (Apart, Death, Misbehaviour, Household, Sandbox)
    return unittest.TestSuite(loader.loadTestsFromTestCase(case) for case in cases)


if __name__ == "__main__":
    unittest.main()
