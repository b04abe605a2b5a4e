"""msf_shell as a plugin host: commands at its admin socket, loading and unloading, reload."""

import json
import os
import socket
import unittest

from house import program, wait_for
from shells import PluginCase


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


if __name__ == "__main__":
    unittest.main()
