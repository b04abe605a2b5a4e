"""msf_shell as a plugin host: commands at its admin socket, loading and unloading, reload, upgrade, plugins that misbehave."""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import unittest
from pathlib import Path

from house import HERE, ROOT, program, wait_for
from test_shell import ShellCase


class PluginCase(ShellCase):
    def counter(self, name, *defines, file=None, **entry):
        """lib<name>.so that counts, and its entry."""
        file = file or f"lib{name}.so"
        fresh = self.house.folder / f".{file}.new"
        flags = [f"-DNAME={name}", *(f"-D{word}" for word in defines), "-shared", "-fPIC"]
        self.house.compile(HERE / "counter_plugin.c", fresh, *flags)
        fresh.rename(self.house.folder / file)
        return {"svc_name": name, "svc_libs": file, **entry}

    def ask(self, config, *words, code=0):
        """A command; its answer when it goes well, else what stderr says."""
        done = self.call("-c", config, *words)
        self.assertEqual(done.returncode, code, (words, done.stdout, done.stderr))
        return done.stdout if code == 0 else done.stderr

    def listed(self, config):
        """The services by name, and the whole document."""
        document = json.loads(self.ask(config, "list", "--json"))
        return {service["name"]: service for service in document["services"]}, document

    def log_text(self):
        return self.house.text("msf_shell.trial.log")

    def ends(self, child, code=0):
        status, _, said = self.house.end(child)
        self.assertEqual(status, code, said)
        self.assertEqual([path.name for path in self.house.run.iterdir()], [])
        return said

    @contextlib.contextmanager
    def talk(self, refused=False):
        """Asks over one connection, as often as one likes; a refusal is a failure unless it is expected."""
        with socket.socket(socket.AF_UNIX) as peer:
            peer.settimeout(30)
            peer.connect(str(self.house.run / "msf_shell.trial.sock"))
            with peer.makefile() as reader:
                def ask(**request):
                    peer.sendall((json.dumps(request) + "\n").encode())
                    answer = json.loads(reader.readline())
                    if not refused:
                        self.assertNotIn("error", answer)
                    return answer
                yield ask

    def mapped(self, child):
        """The copies of libraries in the process."""
        maps = Path(f"/proc/{child.pid}/maps").read_text()
        return set(re.findall(r"\.generation\.(\S+)\.so", maps))


class Commands(PluginCase):
    def test_a_service_answers_calls_by_function_and_by_command(self):
        config = self.config(self.counter("a", config={"b": [1, "x"]}), self.plugin("old"))
        child = self.shell(config)
        self.assertEqual(self.ask(config, "call", "a", "add", "5"), "5\n")
        self.assertEqual(self.ask(config, "call", "a", "add", "--", "-2"), "3\n")
        self.assertEqual(self.ask(config, "call", "a", "get"), "3\n")
        self.assertEqual(self.ask(config, "call", "a", "config"), '{"b":[1,"x"]}\n')
        self.assertEqual(self.ask(config, "call", "a", "generation"), "1 build 1\n")
        answer = json.loads(self.ask(config, "call", "a", "echo", "00ff80", "--hex", "--json"))
        self.assertEqual(answer, {"code": 0, "hex": "00ff80"})
        self.assertIn("no such command", self.ask(config, "call", "a", "fly", code=1))
        self.assertIn('knows no command "fly"', self.ask(config, "call", "old", "fly", code=1))
        self.assertIn("no service of this name", self.ask(config, "call", "b", "fly", code=1))
        services, document = self.listed(config)
        self.assertEqual(services["a"]["calls"], 7)
        self.assertEqual((services["a"]["state"], services["a"]["version"]), ("started", "1.1"))
        self.assertEqual(services["a"]["functions"], ["add"])
        self.assertEqual(services["old"]["table"], "struct msf_svc")
        self.assertEqual((document["left"], document["pid"]), ([], child.pid))
        table = self.ask(config, "list").splitlines()
        self.assertEqual(table[0].split(), ["NAME", "STATE", "GEN", "VERSION", "CALLS", "LIBRARY"])
        self.assertEqual(table[1].split()[:5], ["a", "started", "1", "1.1", "7"])
        self.ends(child)

    def test_slots_of_2019_are_called_with_bytes(self):
        source = self.house.folder / "old.c"
        source.write_text("""
            #include <string.h>
            #include <msf_svc.h>
            static s32 get(void *data, u32 len) { memset(data, 'x', len); return 4; }
            static s32 handle(void *data, u32 len) { return data != NULL && len == 3 && memcmp(data, "abc", 3) == 0 ? 0 : -1; }
            struct msf_svc old = { .get_param = get, .msg_handler = handle };
        """)
        self.house.compile(source, self.house.folder / "libold.so", "-shared", "-fPIC")
        config = self.config({"svc_name": "old", "svc_libs": "libold.so"})
        child = self.shell(config)
        self.assertEqual(self.ask(config, "call", "old", "get_param", "1234"), "xxxx\n")
        self.assertEqual(self.ask(config, "call", "old", "msg_handler", "abc"), "abc\n")
        self.assertIn("it returned -1", self.ask(config, "call", "old", "msg_handler", code=1))
        self.assertIn("knows no command", self.ask(config, "call", "old", "set_param", "1", code=1))
        self.ends(child)

    def test_command_lines_that_make_no_sense_exit_2_and_a_shell_that_is_not_there_1(self):
        config = self.config(self.counter("a"))
        for words in (["list", "a"], ["load"], ["call", "a"], ["call", "a", "b", "c", "d"], ["call", "a", "b", "f", "--hex"],
                      ["list", "--hex"], ["call", "a", "b", "--timeout", "x"], ["fly"]):
            done = self.call("-c", config, *words)
            self.assertEqual(done.returncode, 2, words)
        for words in (["list"], ["reload"], ["call", "a", "get"]):
            self.assertIn("msf_shell.trial is not running", self.ask(config, *words, code=1))

    def test_nonsense_at_the_admin_socket_is_answered_and_survived(self):
        config = self.config(self.counter("a"))
        child = self.shell(config)
        path = str(self.house.run / "msf_shell.trial.sock")
        for request in (b"\n", b"{}\n", b"[1]\n", b'{"verb": 7}\n', b'{"verb": "load"}\n', b"\xff\n", b'{"verb": "call"}\n',
                        b'{"verb": "call", "service": "a", "command": "get", "text": 1}\n', b'{"verb": "call", "service": '
                        b'"a", "command": "get", "timeout_ms": -1}\n', b"[" * 100000 + b"\n"):
            with socket.socket(socket.AF_UNIX) as peer:
                peer.settimeout(10)
                peer.connect(path)
                peer.sendall(request)
                self.assertIn("error", json.loads(peer.makefile().readline()), request[:40])
        crowd = [socket.socket(socket.AF_UNIX) for _ in range(80)]
        for peer in crowd:
            peer.connect(path)
        wait_for("a refusal", lambda: b"at it already" in crowd[-1].recv(200))
        for peer in crowd:
            peer.close()
        wait_for("an answer", lambda: self.call("-c", config, "list").returncode == 0)
        self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)
        self.ends(child)

    def test_stats_show_what_a_service_uses_and_how_it_is(self):
        config = self.config(self.counter("a", "LOOP"), self.counter("b", "SLEEPER"), self.plugin("c", "THREAD"))
        child = self.shell(config)
        self.ask(config, "call", "a", "add", "--", "-1")

        def services():
            rows = json.loads(self.ask(config, "stats", "--json"))["services"]
            return {row["name"]: row for row in rows}
        wait_for("the timer", lambda: services()["a"]["timers"] == 1)
        wait_for("the thread", lambda: services()["b"]["threads"] == 2)
        rows = services()
        self.assertEqual((rows["a"]["health"], rows["b"]["health"], rows["c"]["health"]), ("ill: below zero", "well", None))
        self.assertEqual((rows["a"]["threads"], rows["c"]["threads"], rows["c"]["timers"]), (1, 2, 0))
        self.assertEqual((rows["a"]["calls"], rows["c"]["calls"], rows["c"]["fds"]), (1, 0, 2))
        table = self.ask(config, "stats").splitlines()
        self.assertEqual(table[0].split(), "NAME PID RSS THREADS CPU_MS EVENTS TIMERS FDS POOL CALLS HEALTH".split())
        (self.house.folder / "go").write_text("")
        self.ends(child)

    def test_a_call_that_takes_too_long_is_given_up_by_who_asked(self):
        entry = self.counter("a", "BLOCK=stop", stop_timeout_ms=300)
        config = self.config(entry, self.counter("b"))
        child = self.shell(config)
        unload = self.house.start([program("msf_shell"), "-c", config, "unload", "a"])
        said = unload.communicate(timeout=10)[1]
        self.assertIn("stop failed, it has not returned within 300ms", said)
        self.assertEqual(self.ask(config, "call", "b", "get"), "0\n")
        self.ends(child)


class LoadAndUnload(PluginCase):
    def test_a_service_comes_and_goes_and_leaves_nothing(self):
        config = self.config(self.counter("a"))
        child = self.shell(config)
        self.config(self.counter("a"), self.counter("b", "LOOP"))
        fds = len(os.listdir(f"/proc/{child.pid}/fd"))
        threads = len(os.listdir(f"/proc/{child.pid}/task"))
        for number in range(3):
            self.assertIn("service b is started", self.ask(config, "load", "b"))
            self.assertIn("is up already", self.ask(config, "load", "b", code=1))
            wait_for("its loop", lambda: self.ask(config, "call", "b", "loop") == "mine\n")
            self.assertEqual(self.ask(config, "call", "b", "add", str(number + 1)), f"{number + 1}\n")
            self.assertEqual(len(self.mapped(child)), 2)
            self.assertIn("is unmapped", self.ask(config, "unload", "b"))
            self.assertEqual(len(self.mapped(child)), 1)
        wait_for("its descriptors to go", lambda: len(os.listdir(f"/proc/{child.pid}/fd")) == fds)
        wait_for("its threads to go", lambda: len(os.listdir(f"/proc/{child.pid}/task")) == threads)
        self.assertIn("is not loaded", self.ask(config, "unload", "b", code=1))
        self.assertIn("names no service c", self.ask(config, "load", "c", code=1))
        self.assertEqual(self.listed(config)[1]["unmapped"], 3)
        self.ends(child)

    def test_services_of_one_library_share_it_and_it_goes_with_the_last(self):
        source = self.house.folder / "two.c"
        source.write_text("""
            #include <msf_svc.h>
            static s32 shared;
            static s32 count(void *data, u32 len) { (void)data; (void)len; return ++shared; }
            struct msf_svc one = { .msg_handler = count }, two = { .msg_handler = count };
        """)
        self.house.compile(source, self.house.folder / "libtwo.so", "-shared", "-fPIC")
        entries = [{"svc_name": name, "svc_libs": "libtwo.so"} for name in ("one", "two")]
        config = self.config(*entries)
        child = self.shell(config)
        codes = [json.loads(self.ask(config, "call", name, "msg_handler", "--json"))["code"] for name in ("one", "two", "one")]
        self.assertEqual(codes, [1, 2, 3])
        self.assertIn("its library stays for one", self.ask(config, "unload", "two"))
        self.assertEqual(set(self.listed(config)[0]), {"one"})
        self.assertIn("service two is started", self.ask(config, "load", "two"))
        self.assertEqual(json.loads(self.ask(config, "call", "two", "msg_handler", "--json"))["code"], 4)
        for name in ("one", "two"):
            self.ask(config, "unload", name)
        self.assertEqual(self.mapped(child), set())
        self.ends(child)

    def test_what_others_require_is_not_unloaded(self):
        config = self.config(self.counter("a", requires=["b"]), self.counter("b"))
        child = self.shell(config)
        self.assertIn("service b is required by a", self.ask(config, "unload", "b", code=1))
        self.ask(config, "unload", "a")
        self.ask(config, "unload", "b")
        self.assertIn("requires b, which is not up", self.ask(config, "load", "a", code=1))
        self.assertEqual(self.mapped(child), set())
        self.ends(child)

    def test_the_order_follows_requirements_and_the_way_down_is_its_reverse(self):
        config = self.config({**self.plugin("a"), "after": ["c"]}, {**self.plugin("b"), "requires": ["a"]}, self.plugin("c"))
        self.ends(self.shell(config))
        self.assertEqual(" ".join(self.diary()), "c.init a.init b.init c.start a.start b.start "
                         "b.stop a.stop c.stop b.deinit a.deinit c.deinit")
        circle = self.config({**self.plugin("a"), "after": ["b"]}, {**self.plugin("b"), "requires": ["a"]})
        self.fails(circle, 2, "proc_svcs[0].svc_name", "a goes up after b goes up after a")


class Reload(PluginCase):
    def test_what_has_not_changed_runs_on_untouched(self):
        config = self.config(self.counter("a"), self.counter("b"), self.counter("c"))
        child = self.shell(config)
        self.ask(config, "call", "a", "add", "7")
        before = self.mapped(child)
        self.assertIn("nothing has changed", self.ask(config, "reload"))
        os.utime(self.house.folder / "liba.so")
        self.assertIn("nothing has changed", self.ask(config, "reload"), "the same bytes are the same library")
        entries = [{"svc_name": name, "svc_libs": f"lib{name}.so"} for name in "ab"]
        self.config(entries[0], {**entries[1], "config": {"new": True}}, self.counter("d"))
        told = self.ask(config, "reload")
        for word in ("service c is gone", "service b is upgraded to generation 2, with its state", "service d is new"):
            self.assertIn(word, told)
        after = self.mapped(child)
        self.assertEqual({name for name in before & after}, {"a.1.0"})
        self.assertEqual(sorted(name.split(".")[0] for name in after), ["a", "b", "d"])
        self.assertEqual(self.ask(config, "call", "a", "get"), "7\n")
        self.assertEqual(self.ask(config, "call", "b", "config"), '{"new":true}\n')
        self.ends(child)

    def test_a_failure_of_one_keeps_nothing_from_the_others(self):
        config = self.config(self.counter("a"))
        child = self.shell(config)
        self.config(self.counter("a"), self.counter("b", "FAIL=init"), {"svc_name": "n", "svc_libs": "libnone.so"},
                    self.counter("c"), proc_desc="another")
        said = self.ask(config, "reload", code=1)
        for words in ("service b: init failed, it returned -5 (Protocol error", "service n: no library", "proc_desc changes from"):
            self.assertIn(words, said)
        services = self.listed(config)[0]
        self.assertEqual({name: service["state"] for name, service in services.items()},
                         {"a": "started", "b": "missing", "n": "missing", "c": "started"})
        self.assertEqual(sorted(name.split(".")[0] for name in self.mapped(child)), ["a", "c"])
        self.counter("b")
        self.config(self.counter("a"), {"svc_name": "b", "svc_libs": "libb.so"}, self.counter("c"),
                    proc_desc="Micro agent service config file")
        self.assertIn("service b is started", self.ask(config, "reload"))
        self.assertEqual(self.call("-k", "reload", "-c", config).returncode, 0)
        wait_for("the signal's reload", lambda: "nothing has changed" in self.log_text())
        self.ends(child)


class Upgrade(PluginCase):
    def test_a_count_survives_new_code(self):
        config = self.config(self.counter("a", "LOOP"))
        child = self.shell(config)
        self.assertEqual(self.ask(config, "call", "a", "add", "40"), "40\n")
        self.counter("a", "LOOP", "BUILD=2")
        self.assertIn("generation 2, with its state; generation 1 of", self.ask(config, "upgrade", "a"))
        self.assertEqual(self.ask(config, "call", "a", "add", "2"), "42\n")
        self.assertEqual(self.ask(config, "call", "a", "generation"), "2 build 2\n")
        self.assertEqual(len(self.mapped(child)), 1)
        self.ends(child)

    def test_code_without_a_state_stops_before_its_successor_starts(self):
        config = self.config(self.plugin("a"))
        child = self.shell(config)
        self.assertIn("without its state", self.ask(config, "upgrade", "a"))
        self.assertEqual(self.diary(), ["a.init", "a.start", "a.stop", "a.deinit", "a.init", "a.start"])
        self.plugin("a", "FAIL_START")
        said = self.ask(config, "reload", code=1)
        self.assertIn("start failed, it returned -7", said)
        self.assertIn("generation 2 goes on", said)
        self.assertEqual(self.diary()[-7:], ["a.stop", "a.deinit", "a.init", "a.start", "a.deinit", "a.init", "a.start"])
        self.ends(child)

    def test_new_code_that_fails_leaves_the_old_at_work_with_its_count(self):
        config = self.config(self.counter("a"))
        child = self.shell(config)
        self.ask(config, "call", "a", "add", "7")
        for wrong, said in (("FAIL=init", "init failed"), ("FAIL=start", "start failed"),
                            ("FAIL=import_state", "import_state failed"), ("ABI=9", "its abi is 9; expected MSF_SVC_ABI"),
                            ("SIZE=20", "its size is 20; expected"), ("SIZE=4000", "its size is 4000; the variable has")):
            with self.subTest(wrong=wrong):
                self.counter("a", "BUILD=2", wrong)
                told = self.ask(config, "upgrade", "a", code=1)
                self.assertIn(said, told)
                self.assertIn("generation 1 goes on", told)
                self.assertEqual(self.ask(config, "call", "a", "get"), "7\n")
                self.assertEqual(len(self.mapped(child)), 1)
        (self.house.folder / "liba.so").write_text("not a library")
        self.assertIn("is not a shared library", self.ask(config, "upgrade", "a", code=1))
        (self.house.folder / "liba.so").unlink()
        self.assertIn("no library", self.ask(config, "upgrade", "a", code=1))
        self.assertEqual(self.ask(config, "call", "a", "add", "1"), "8\n")
        self.ends(child)

    def test_old_code_that_cannot_hand_over_stays(self):
        config = self.config(self.counter("a", "FAIL=export_state"))
        child = self.shell(config)
        self.ask(config, "call", "a", "add", "7")
        self.counter("a", "BUILD=2")
        self.assertIn("a of generation 1: export_state failed", self.ask(config, "upgrade", "a", code=1))
        self.assertEqual(self.ask(config, "call", "a", "get"), "7\n")
        self.ends(child)

    def test_no_call_and_no_count_is_lost_by_upgrades_under_calls(self):
        config = self.config(self.counter("a"))
        builds = []
        for build in (1, 2):
            self.counter("a", f"BUILD={build}")
            builds.append((self.house.folder / "liba.so").read_bytes())
        child = self.shell(config)
        stop, counts, wrong = threading.Event(), [0] * 4, []

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
        rounds = int(os.environ.get("MSF_UPGRADES", "50"))
        with self.talk() as ask:
            for number in range(rounds):
                fresh = self.house.folder / "fresh"
                fresh.write_bytes(builds[number % 2])
                fresh.rename(self.house.folder / "liba.so")
                ask(verb="upgrade", service="a")
            stop.set()
            for thread in threads:
                thread.join()
            self.assertEqual(wrong, [])
            self.assertEqual(ask(verb="call", service="a", command="get")["text"], str(sum(counts)))
            self.assertGreater(sum(counts), rounds)
            self.assertEqual(ask(verb="list")["left"], [])
        self.assertEqual(len(self.mapped(child)), 1)
        self.ends(child)


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
        source = self.house.folder / "a.c"
        source.write_text("""
            #include <fcntl.h>
            #include <msf_mempool.h>
            #include <msf_svc.h>
            static s32 on_init(void *data, u32 len)
            {
                struct msf_mempool *pool = msf_mempool_create_prv(-1, 0);
                (void)data, (void)len;
                return open("/dev/zero", O_RDONLY) >= 0 && msf_mempool_get(pool, 64) ? 0 : -1;
            }
            struct msf_svc a = { .init = on_init };
        """)
        self.house.compile(source, self.house.folder / "liba.so", "-shared", "-fPIC")
        config = self.config({"svc_name": "a", "svc_libs": "liba.so"}, self.counter("b"))
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

    def test_tables_of_another_contract_are_refused_before_anything_is_called(self):
        for define, said in (("ABI=2", "its abi is 2; expected MSF_SVC_ABI, which is 1"), ("SIZE=8", "its size is 8; expected"),
                             ("SIZE=100000", "its size is 100000; the variable has")):
            self.fails(self.config(self.counter("a", define)), 1, "service a", "liba.so", said)

    def test_a_second_copy_of_libmsf_inside_a_plugin_is_refused(self):
        source = self.house.folder / "a.c"
        source.write_text("#include <msf_svc.h>\nstruct msf_svc a;\n#undef msf_log_flush\n"
                          "s32 msf_log_flush(void) { return 0; }\ns32 msf_own_name(void);\ns32 msf_own_name(void) { return 0; }\n")
        self.house.compile(source, self.house.folder / "liba.so", "-shared", "-fPIC")
        self.fails(self.config({"svc_name": "a", "svc_libs": "liba.so"}), 1, "liba.so defines msf_log_flush itself")
        source.write_text(source.read_text().replace("s32 msf_log_flush(void) { return 0; }", ""))
        self.house.compile(source, self.house.folder / "liba.so", "-shared", "-fPIC")
        self.ends(self.shell(self.config({"svc_name": "a", "svc_libs": "liba.so"})))

    def test_two_plugins_with_a_function_of_one_name_have_each_their_own(self):
        for name, number in (("a", 1), ("b", 2)):
            source = self.house.folder / f"{name}.c"
            source.write_text(f"""
                #include <msf_svc.h>
                s32 helper(void);
                s32 helper(void) {{ return {number}; }}
                s32 shared_state = {number};
                static s32 ask(void *data, u32 len) {{ (void)data, (void)len; return 10 * helper() + shared_state; }}
                struct msf_svc {name} = {{ .msg_handler = ask }};
            """)
            self.house.compile(source, self.house.folder / f"lib{name}.so", "-shared", "-fPIC", "-Wno-missing-declarations")
        config = self.config(*({"svc_name": name, "svc_libs": f"lib{name}.so"} for name in "ab"))
        child = self.shell(config)
        codes = [json.loads(self.ask(config, "call", name, "msg_handler", "--json"))["code"] for name in "ab"]
        self.assertEqual(codes, [11, 22])
        self.ends(child)

    def test_where_the_run_folder_is_mounted_noexec_the_copy_is_in_memory(self):
        config = self.config(self.counter("a", "LOOP"), self.plugin("b"))
        script = f"mount -t tmpfs -o noexec,mode=700 none {self.house.run} && exec {program('msf_shell')} -c {config}"
        if self.house.call(["unshare", "-r", "-m", "true"]).returncode != 0:
            self.skipTest("no namespaces of one's own here")
        child = self.house.start(["unshare", "-r", "-m", "sh", "-c", script])
        wait_for("the start", lambda: "2 services are started" in self.log_text() or child.poll() is not None)
        maps = Path(f"/proc/{child.pid}/maps").read_text()
        for name in "ab":
            self.assertRegex(maps, rf"/memfd:\.msf_shell\.trial\.generation\.{name}\.1\.\d+\.so \(deleted\)")
        run = f"/proc/{child.pid}/root{self.house.run}"
        with socket.socket(socket.AF_UNIX) as peer:
            peer.settimeout(10)
            peer.connect(f"{run}/msf_shell.trial.sock")
            with peer.makefile() as reader:
                for verb, said in (("upgrade", "is upgraded to generation 2, with its state"), ("unload", "is unmapped")):
                    peer.sendall((json.dumps({"verb": verb, "service": "a"}) + "\n").encode())
                    self.assertIn(said, reader.readline())
        self.assertEqual(self.house.end(child)[0], 0)

    def test_the_original_may_be_overwritten_or_truncated_while_it_runs(self):
        config = self.config(self.counter("a"))
        child = self.shell(config)
        library = self.house.folder / "liba.so"
        with library.open("r+b") as file:
            file.write(b"\0" * 1000)
            file.truncate(10)
        self.assertEqual(self.ask(config, "call", "a", "add", "3"), "3\n")
        self.ends(child)

    def test_what_a_killed_shell_left_of_its_copies_is_cleared(self):
        config = self.config(self.counter("a"))
        stale = self.house.run / ".msf_shell.trial.generation.a.1.0.so"
        shutil.copy(self.house.folder / "liba.so", stale)
        self.ends(self.shell(config))


def rust(package):
    """The library of a Rust plugin, built here: it is no part of the stage tree."""
    if package not in BUILT:
        done = subprocess.run(["cargo", "build", "-q", "--message-format=json", "-p", package], cwd=ROOT, check=True,
                              stdout=subprocess.PIPE, text=True)
        messages = (json.loads(line) for line in done.stdout.splitlines())
        files = [name for message in messages if message.get("target", {}).get("name") == package.replace("-", "_")
                 for name in message.get("filenames", [])]
        BUILT[package] = Path(next(name for name in files if name.endswith(".so")))
    return BUILT[package]


BUILT = {}


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
                source = self.house.folder / "bad.c"
                source.write_text("#include <pthread.h>\n#include <stdlib.h>\n#include <string.h>\n#include <msf_svc.h>\n"
                                  "s32 deeper(int depth);\n"
                                  "s32 deeper(int depth) { volatile char room[4096]; memset((char *)room, depth & 1, 4096); "
                                  "return room[depth & 7] == 7 ? 1 : deeper(depth + 1) + room[1]; }\n"
                                  "void *crash(void *arg);\n"
                                  "void *crash(void *arg) { (void)arg; *(volatile int *)16 = 1; return NULL; }\n"
                                  f"static s32 work(void *data, u32 len) {{ (void)data, (void)len; {body} }}\n"
                                  "struct msf_svc bad = { .msg_handler = work };\n")
                self.house.compile(source, self.house.folder / "libbad.so", "-shared", "-fPIC", "-O0", "-Wno-infinite-recursion",
                                   "-Wno-unused-function", "-Wno-return-type")
                config = self.config({"svc_name": "bad", "svc_libs": "libbad.so"}, self.counter("b"))
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

    def test_a_panic_that_leaves_rust_and_an_abort_are_told(self):
        config = self.config(Rust.hostile(self))
        for command in ("abort", "overflow"):
            child = self.shell(config)
            self.ask(config, "call", "hostile", command, "x", code=1)
            self.assertLess(child.wait(10), 0)
            self.assertIn("in service hostile, at its code", child.stderr.read())
            for file in self.house.run.iterdir():
                file.unlink()


class Rust(PluginCase):
    def hostile(self, **entry):
        shutil.copy2(rust("msf-test-plugin"), self.house.folder / "libhostile.so")
        return {"svc_name": "hostile", "svc_libs": "libhostile.so", **entry}

    def test_the_sample_counts_from_its_configuration_and_over_an_upgrade(self):
        library = rust("msf-count")
        shutil.copy2(library, self.house.folder)
        entry = {"svc_name": "msf_count", "svc_libs": library.name, "config": {"from": 40}}
        config = self.config(entry)
        child = self.shell(config)
        self.assertEqual(self.ask(config, "call", "msf_count", "add", "2"), "42\n")
        self.assertIn("invalid digit", self.ask(config, "call", "msf_count", "add", "two", code=1))
        self.assertIn("with its state", self.ask(config, "upgrade", "msf_count"))
        self.assertEqual(self.ask(config, "call", "msf_count", "get"), "42\n")
        self.assertEqual(self.listed(config)[0]["msf_count"]["functions"], ["add", "get"])
        self.assertIn("is unmapped", self.ask(config, "unload", "msf_count"))
        self.config({**entry, "config": {"form": 40}})
        self.assertIn("init failed", self.ask(config, "load", "msf_count", code=1))
        wait_for("the reason", lambda: 'config: expected {"from": N}, found {"form":40}' in self.log_text())
        self.assertEqual(self.mapped(child), set())
        self.ends(child)

    def test_a_sample_exports_its_table_and_nothing_else(self):
        for package, table in (("msf-count", "msf_count_ops"), ("msf-test-plugin", "hostile_ops")):
            names = self.house.call(["nm", "-D", "--defined-only", "--format=posix", rust(package)]).stdout
            self.assertEqual([line.split()[0] for line in names.splitlines()], [table])

    def test_a_panic_poisons_the_service_and_nothing_else(self):
        config = self.config(self.hostile(), self.counter("b"))
        child = self.shell(config)
        self.assertEqual(self.ask(config, "call", "hostile", "add", "1"), "1\n")
        self.assertIn("panic: told to", self.ask(config, "call", "hostile", "panic", code=1))
        self.assertIn("it has panicked before", self.ask(config, "call", "hostile", "add", "1", code=1))
        wait_for("the record", lambda: "service hostile: panic in panic: told to" in self.log_text())
        self.assertEqual(self.ask(config, "call", "b", "get"), "0\n")
        self.assertIn("export_state failed", self.ask(config, "upgrade", "hostile", code=1))
        self.ask(config, "unload", "hostile")
        self.assertIn("started", self.ask(config, "load", "hostile"))
        self.assertEqual(self.ask(config, "call", "hostile", "add", "1"), "1\n")
        for where in ("init", "start"):
            self.ask(config, "unload", "hostile")
            self.config(self.hostile(config={"panic": where}), self.counter("b"))
            self.assertIn(f"{where} failed", self.ask(config, "load", "hostile", code=1))
            self.assertEqual(len(self.mapped(child)), 1)
            self.config(self.hostile(), self.counter("b"))
            self.ask(config, "load", "hostile")
        self.ends(child)

    def test_a_thread_of_rust_that_is_left_keeps_the_library(self):
        config = self.config(self.hostile())
        child = self.shell(config)
        self.ask(config, "call", "hostile", "leave")
        self.assertRegex(self.ask(config, "unload", "hostile"), r"is left mapped: thread 'left by rust' \(\d+\) still runs")
        (self.house.folder / "go").write_text("")
        wait_for("the library to go", lambda: self.listed(config)[1]["left"] == [])
        self.assertEqual(self.mapped(child), set())
        self.ends(child)


class Cycles(PluginCase):
    """As many as MSF_CYCLES says, of each; the long run is in test/soak."""

    LONG = True

    def test_a_plugin_in_c_leaves_nothing(self):
        self.cycles(lambda: self.counter("a", "LOOP"), "a")

    def test_a_plugin_in_rust_leaves_nothing(self):
        shutil.copy2(rust("msf-test-plugin"), self.house.folder / "libhostile.so")
        self.cycles(lambda: {"svc_name": "hostile", "svc_libs": "libhostile.so"}, "hostile")

    def cycles(self, plugin, name):
        config = self.config(self.counter("b"))
        # Threads of the C library keep some of what they free for themselves, which fills up over thousands of cycles and would
        # hide what nobody frees.
        self.house.env["GLIBC_TUNABLES"] = "glibc.malloc.tcache_count=0"
        child = self.shell(config)
        self.config(self.counter("b"), plugin())
        with self.talk() as ask:
            def cycle():
                ask(verb="load", service=name)
                self.assertEqual(ask(verb="call", service=name, command="add", text="9")["text"], "9")
                self.assertIn("is unmapped", ask(verb="unload", service=name)["done"][-1])
            for _ in range(20):
                cycle()
            before = self.use(child)
            for _ in range(int(os.environ.get("MSF_CYCLES", "300")) - 20):
                cycle()
            after = self.use(child)
        self.assertEqual(after[:3], before[:3], "descriptors, threads, mappings")
        self.assertLess(after[3] - before[3], 128, "KiB")
        self.ends(child)

    def use(self, child):
        """Memory of its own: the log's ring and pages of files are shared, and come as they are touched."""
        proc = Path(f"/proc/{child.pid}")
        rss = int(re.search(r"RssAnon:\s+(\d+)", (proc / "status").read_text())[1])
        return len(os.listdir(proc / "fd")), len(os.listdir(proc / "task")), len(self.mapped(child)), rss


if __name__ == "__main__":
    unittest.main()
