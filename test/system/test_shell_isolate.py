"""Isolated services of msf_shell: a process of their own, its death and replacement."""

import json
import os
import signal
import threading
import time
import unittest
from pathlib import Path

from house import gone, wait_for
from shells import CRASHES, IsolateCase


# The promise is 0.1 s; other tests run beside this one.
PROMPT = 0.5


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
        wait_for("its burial", lambda: self.children(child) == [])
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
        wait_for("the others to be buried", lambda: len(self.children(child)) == 1)
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
        wait_for("its burial", lambda: self.children(child) == [])
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
            # One that it had not taken yet waits for the next process, which may take longer on a machine that is busy.
            self.assertRegex(answer["error"], "service bad: msg_handler failed, (it is not back yet: )?"
                             f"its process {first} was ended by SIGKILL")
            self.assertLess(when - killed, PROMPT)
        second = self.pid_of(config, "bad", first)
        row = self.listed(config)[0]["bad"]
        self.assertEqual((row["respawns"], row["state"]), (1, "started"))
        wait_for("the first to be buried", lambda: self.children(child) == [second])
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
        ways = {"SIGSEGV": "volatile int *nowhere = (int *)8; return *nowhere;", "SIGABRT": "abort();", "SIGILL": "__builtin_trap();",
                "SIGFPE": "volatile int zero = 0; return 7 / zero;", "status 3": "exit(3);", "stack": "return deeper(0);",
                "thread": "pthread_t t; pthread_create(&t, NULL, crash, NULL); pthread_join(t, NULL); return 0;"}
        body = "".join(f'if (!memcmp(data, "{way}", len)) {{ {way_to_end} }} ' for way, way_to_end in ways.items())
        config = self.config(self.bad(body, more=CRASHES), self.counter("b"))
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


if __name__ == "__main__":
    unittest.main()
