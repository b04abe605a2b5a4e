"""msf_shell: options, the seed's JSON, the life of services, every way to fail, and one state per process."""

import json
import os
import re
import shutil
import signal
import socket
import time
import unittest
from pathlib import Path

from house import HERE, ROOT, STAGE, House, gone, program, wait_for

SEED = {
    "proc_name": "msf_agent",
    "proc_author": "http://luotang.me",
    "proc_version": "beta v1.0",
    "proc_desc": "Micro agent service config file",
    "proc_svcs": [{"svc_name": "msf_agent1", "svc_libs": "libmsf_agent1.so"},
                  {"svc_name": "msf_agent2", "svc_libs": "libmsf_agent2.so"}],
}


class ShellCase(unittest.TestCase):
    def setUp(self):
        self.house = House(self)
        self.diary_file = self.house.folder / "diary"
        self.house.env["DIARY"] = str(self.diary_file)

    def plugin(self, name, *defines, folder=None):
        """lib<name>.so in the config's folder, and its entry for proc_svcs."""
        folder = folder or self.house.folder
        flags = [f"-DNAME={name}", *(f"-D{word}" for word in defines), "-shared", "-fPIC"]
        self.house.compile(HERE / "diary_plugin.c", folder / f"lib{name}.so", *flags)
        return {"svc_name": name, "svc_libs": f"lib{name}.so"}

    def config(self, *services, name="svc.json", **changes):
        """A file beside the plugins."""
        document = {**SEED, "proc_name": "trial", "proc_svcs": list(services), **changes}
        path = self.house.folder / name
        path.write_text(json.dumps({key: value for key, value in document.items() if value is not None}))
        return path

    def shell(self, config, *words, **options):
        """A shell that is up, or has ended."""
        return self.house.start([program("msf_shell"), "-c", config, *words], ready=True, **options)

    def call(self, *words, **options):
        return self.house.call([program("msf_shell"), *words], **options)

    def diary(self):
        return self.diary_file.read_text().split("\n")[:-1] if self.diary_file.exists() else []

    def fails(self, config, code, *said):
        """Runs until it fails; every word of `said` is in one line of stderr."""
        done = self.call("-c", config)
        self.assertEqual(done.returncode, code, done.stderr)
        self.assertEqual(done.stdout, "")
        lines = [line for line in done.stderr.splitlines() if all(str(word) in line for word in said)]
        self.assertEqual(len(lines), 1, done.stderr)
        return done


class Options(ShellCase):
    def test_usage_goes_to_stdout_when_asked_for(self):
        for option in ("-h", "-?", "--help"):
            done = self.call(option)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            self.assertIn("-k reload|rotate|shutdown|kill|parse", done.stdout)

    def test_a_command_line_that_makes_no_sense_exits_2(self):
        for words in ([], ["-m"], ["-c"], ["stray"], ["-c", "a", "-c", "b"], ["-k", "reload"], ["-d"]):
            done = self.call(*words)
            self.assertEqual(done.returncode, 2, words)
            self.assertEqual(done.stdout, "")
            self.assertIn("msf_shell:", done.stderr)

    def test_words_match_exactly(self):
        for word, hint in (("r", "one of"), ("reloa", "reload"), ("shut", "one of")):
            done = self.call("-k", word, "-c", self.config())
            self.assertEqual(done.returncode, 2)
            self.assertIn(hint, done.stderr)

    def test_version_shows_the_four_fields_of_the_config(self):
        done = self.call("-v", "-c", ROOT / "script/config/msf_agent_svc.json")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        for key in ("proc_name", "proc_author", "proc_version", "proc_desc"):
            self.assertIn(SEED[key], done.stdout)
        self.assertRegex(done.stdout, r"^msf_shell \d+\.\d+\.\d+")
        self.assertRegex(self.call("-v").stdout, r"^msf_shell \d+\.\d+\.\d+\n$")

    def test_parse_accepts_the_seed_and_refuses_a_broken_file(self):
        done = self.call("-k", "parse", "-c", ROOT / "script/config/msf_agent_svc.json")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("msf_agent2 from libmsf_agent2.so", done.stdout)
        broken = self.config(proc_author=None)
        done = self.call("-k", "parse", "-c", broken)
        self.assertEqual(done.returncode, 1)
        self.assertEqual(done.stderr, f"msf_shell: {broken}: proc_author: missing; expected a string\n")

    def test_signals_need_a_running_copy(self):
        config = self.config(self.plugin("a"))
        for word in ("reload", "rotate", "shutdown", "kill"):
            done = self.call("-k", word, "-c", config)
            self.assertEqual(done.returncode, 1)
            self.assertIn("msf_shell.trial is not running", done.stderr)


class Configuration(ShellCase):
    def test_a_missing_file_is_named(self):
        self.fails(self.house.folder / "none.json", 2, "none.json", "No such file")

    def test_text_that_is_not_json_is_named_with_its_place(self):
        path = self.house.folder / "x.json"
        path.write_text('{\n  "proc_name": ,\n}')
        self.fails(path, 2, "x.json", "line 2")

    def test_every_missing_key_and_wrong_type_is_named_with_its_path(self):
        service = {"svc_name": "a", "svc_libs": "liba.so"}
        cases = [({key: None}, f"{key}: missing") for key in SEED]
        cases += [({key: 7}, f"{key}: expected") for key in SEED]
        cases += [({"proc_svcs": []}, "proc_svcs: empty"), ({"proc_svcs": [3]}, "proc_svcs[0]: expected an object")]
        for key in service:
            cases.append(({"proc_svcs": [service, {**service, key: ["x"]}]}, f"proc_svcs[1].{key}: expected a string"))
            without = {name: value for name, value in service.items() if name != key}
            cases.append(({"proc_svcs": [without]}, f"proc_svcs[0].{key}: missing"))
        for changes, said in cases:
            with self.subTest(said=said):
                self.fails(self.config(service, **changes), 2, "svc.json", said)

    def test_an_unknown_key_is_a_warning_that_names_the_nearest(self):
        child = self.shell(self.config(self.plugin("a"), proc_autor="me"))
        status, _, err = self.house.end(child)
        self.assertEqual(status, 0)
        self.assertIn('proc_autor: unknown key; did you mean "proc_author"?', err)
        self.assertIn("proc_autor", self.house.text("msf_shell.trial.log"))


class Life(ShellCase):
    LONG = True

    def test_init_in_order_start_in_order_and_the_way_down_in_reverse(self):
        config = self.config(*(self.plugin(name) for name in "abc"))
        for sign in (signal.SIGTERM, signal.SIGINT):
            self.diary_file.unlink(missing_ok=True)
            status, out, err = self.house.end(self.shell(config), sign)
            self.assertEqual((status, out, err), (0, "", ""))
            self.assertEqual(" ".join(self.diary()), "a.init b.init c.init a.start b.start c.start "
                             "c.stop b.stop a.stop c.deinit b.deinit a.deinit")
        self.assertEqual([path.name for path in self.house.run.iterdir()], [], "nothing is left behind")

    def test_empty_slots_are_skipped(self):
        config = self.config(self.plugin("a", "EMPTY"), self.plugin("b"))
        self.assertEqual(self.house.end(self.shell(config))[0], 0)
        self.assertEqual(" ".join(self.diary()), "a.init b.init b.start b.stop b.deinit")
        log = self.house.text("msf_shell.trial.log")
        self.assertIn("service a: init", log)
        self.assertNotIn("service a: start", log, "what does not run is not told of")

    def test_a_failing_init_takes_the_earlier_ones_down(self):
        config = self.config(self.plugin("a"), self.plugin("b", "FAIL_INIT"), self.plugin("c"))
        self.fails(config, 1, "service b: init failed", "-7")
        self.assertEqual(" ".join(self.diary()), "a.init b.init a.deinit")

    def test_a_failing_start_takes_everything_down(self):
        config = self.config(self.plugin("a"), self.plugin("b", "FAIL_START"), self.plugin("c"))
        self.fails(config, 1, "service b: start failed", "-7")
        self.assertEqual(" ".join(self.diary()),
                         "a.init b.init c.init a.start b.start a.stop c.deinit b.deinit a.deinit")

    def test_a_failing_stop_is_told_and_the_others_go_down(self):
        config = self.config(self.plugin("a"), self.plugin("b", "FAIL_STOP"))
        status, _, err = self.house.end(self.shell(config))
        self.assertEqual(status, 1)
        self.assertIn("service b: stop failed", err)
        self.assertEqual(self.diary()[-4:], ["b.stop", "a.stop", "b.deinit", "a.deinit"])

    def test_sigterm_during_a_slow_init_takes_down_what_is_up(self):
        config = self.config(self.plugin("a"), self.plugin("b", "SLOW_INIT"), self.plugin("c"))
        child = self.house.start([program("msf_shell"), "-c", config])
        wait_for("the slow init", lambda: "b.init begins" in self.diary())
        status, _, _ = self.house.end(child)
        self.assertEqual(status, 0)
        self.assertEqual(" ".join(self.diary()), "a.init b.init begins b.init b.deinit a.deinit")

    def test_threads_of_plugins_never_see_the_shells_signals(self):
        child = self.shell(self.config(self.plugin("a", "THREAD")))
        for task in Path(f"/proc/{child.pid}/task").iterdir():
            blocked = int(re.search(r"^SigBlk:\s*(\w+)", (task / "status").read_text(), re.M)[1], 16)
            for sign in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
                self.assertTrue(blocked >> (sign - 1) & 1, f"thread {task.name} may be hit by {sign!r}")
        self.assertEqual(self.house.end(child)[0], 0)

    def test_services_and_their_process_are_described_to_the_plugins(self):
        self.house.end(self.shell(self.config(self.plugin("a"), self.plugin("b"))))
        self.assertIn("a.init in trial with 2 services", self.house.text("msf_shell.trial.log"))


class Loading(ShellCase):
    def test_a_missing_library_is_named_with_its_service_and_where_it_was_sought(self):
        config = self.config(self.plugin("a"), {"svc_name": "b", "svc_libs": "libnone.so"})
        self.fails(config, 1, "service b", "libnone.so", "proc_svcs[1].svc_libs", str(self.house.folder / "libnone.so"))
        self.assertEqual(self.diary(), [], "all are loaded before one is initialised")

    def test_a_missing_symbol_is_named_with_file_and_service(self):
        entry = {**self.plugin("a"), "svc_name": "b"}
        self.fails(self.config(entry), 1, 'service b', self.house.folder / "liba.so", 'symbol "b"')

    def test_symbols_of_the_wrong_type_are_refused(self):
        for define, said in (("FUNCTION", "is a function"), ("SMALL", "is a variable of 4 bytes")):
            self.fails(self.config(self.plugin("a", define)), 1, "service a", "liba.so", 'symbol "a"', said)

    def test_files_that_are_no_libraries_are_refused(self):
        (self.house.folder / "liba.so").write_text("not a library, however long the text may be\n")
        entry = {"svc_name": "a", "svc_libs": "liba.so"}
        self.fails(self.config(entry), 1, "service a", "liba.so", "is not a shared library")

    def test_a_bare_name_may_be_the_systems_own_library_and_is_looked_into_all_the_same(self):
        self.fails(self.config({"svc_name": "a", "svc_libs": "libc.so.6"}), 1, "service a", 'libc.so.6', 'symbol "a"')
        malloc = self.config({"svc_name": "malloc", "svc_libs": "libc.so.6"})
        self.fails(malloc, 1, "service malloc", "/libc.so.6", "is a function")

    def test_a_library_that_cannot_be_linked_is_named(self):
        source = self.house.folder / "a.c"
        source.write_text("#include <msf_svc.h>\ns32 nowhere(void *data, u32 len);\n"
                          "struct msf_svc a = { .init = nowhere };\n")
        self.house.compile(source, self.house.folder / "liba.so", "-shared", "-fPIC")
        self.fails(self.config({"svc_name": "a", "svc_libs": "liba.so"}), 1, "service a", "liba.so", "cannot be loaded")

    def test_libraries_are_sought_as_named_then_beside_config_and_program_then_in_the_plugin_path(self):
        tree, extra = self.house.folder / "tree", self.house.folder / "extra"
        for folder in (tree / "bin", tree / "lib", extra, self.house.folder / "etc", self.house.folder / "cwd"):
            folder.mkdir(parents=True)
        shutil.copy2(program("msf_shell"), tree / "bin/msf_shell")
        for library in (STAGE / "lib").glob("lib*.so*"):
            (tree / "lib" / library.name).symlink_to(library)
        self.plugin("a")
        built = self.house.folder / "liba.so"
        config = self.house.folder / "etc/svc.json"
        places = [("ld", {"LD_LIBRARY_PATH": str(extra)}, extra), ("as named", {}, self.house.folder / "cwd"),
                  ("config", {}, config.parent), ("program", {}, tree / "bin"), ("../lib", {}, tree / "lib"),
                  ("MSF_PLUGIN_PATH", {"MSF_PLUGIN_PATH": f"/nonexistent:{extra}"}, extra)]
        config.write_text(self.config({"svc_name": "a", "svc_libs": "liba.so"}).read_text())
        for where, env, folder in places:
            with self.subTest(where=where):
                there = folder / "liba.so"
                shutil.copy2(built, there)
                child = self.house.start([tree / "bin/msf_shell", "-c", config], ready=True,
                                         cwd=self.house.folder / "cwd", env={**self.house.env, **env})
                self.assertEqual(self.house.end(child)[0], 0)
                self.assertIn(f"service a: loaded {there}[", self.house.text("msf_shell.trial.log"))
                there.unlink()
                (self.house.log / "msf_shell.trial.log").unlink()
        absolute = self.config({"svc_name": "a", "svc_libs": str(built)}, name="etc/svc.json")
        self.assertEqual(self.house.end(self.shell(absolute))[0], 0)


class Process(ShellCase):
    LONG = True

    def test_the_title_names_the_process_and_the_short_name_stays(self):
        child = self.shell(self.config(self.plugin("a")))
        proc = Path(f"/proc/{child.pid}")
        self.assertEqual((proc / "cmdline").read_bytes().rstrip(b"\0"), b"msf_shell: trial")
        self.assertEqual((proc / "comm").read_text(), "msf_shell\n")
        self.assertEqual((self.house.run / "msf_shell.trial.pid").read_text().strip(), str(child.pid))
        self.assertTrue((self.house.run / "msf_shell.trial.lock").exists())
        self.house.end(child)

    def test_a_second_copy_refuses_and_names_the_first(self):
        config = self.config(self.plugin("a"))
        child = self.shell(config)
        self.fails(config, 1, "msf_shell.trial", f"pid {child.pid}")
        self.assertEqual(self.diary(), ["a.init", "a.start"])
        other = self.shell(self.config(self.plugin("b"), proc_name="other", name="other.json"))
        self.assertEqual(self.house.end(other)[0], 0)
        self.assertEqual(self.house.end(child)[0], 0)

    def test_the_name_is_free_again_after_a_kill(self):
        config = self.config(self.plugin("a"))
        self.house.end(self.shell(config), signal.SIGKILL)
        self.assertEqual(self.house.end(self.shell(config))[0], 0)

    def test_shutdown_and_kill_end_the_running_copy(self):
        config = self.config(self.plugin("a"))
        for word, status in (("shutdown", 0), ("kill", -signal.SIGKILL)):
            child = self.shell(config)
            self.assertEqual(self.call("-k", word, "-c", config).returncode, 0)
            child.communicate(timeout=10)
            self.assertEqual(child.returncode, status)

    def test_rotate_opens_the_log_anew(self):
        config = self.config(self.plugin("a"))
        child = self.shell(config)
        log = self.house.log / "msf_shell.trial.log"
        log.rename(self.house.log / "moved")
        self.assertEqual(self.call("-k", "rotate", "-c", config).returncode, 0)
        wait_for("the new log", log.exists)
        self.house.end(child)
        self.assertIn("service a: stop", log.read_text())

    def test_reload_takes_up_what_is_new_and_refuses_a_broken_file(self):
        config = self.config(self.plugin("a"))
        child = self.shell(config)

        def reload_says(text):
            self.assertEqual(self.call("-k", "reload", "-c", config).returncode, 0)
            wait_for(text, lambda: text in self.house.text("msf_shell.trial.log"))

        reload_says("nothing has changed")
        self.config(self.plugin("a"), self.plugin("b"))
        reload_says("service b is new")
        before = config.read_text()
        config.write_text("{")
        os.kill(child.pid, signal.SIGHUP)
        wait_for("the complaint", lambda: "not JSON" in self.house.text("msf_shell.trial.log"))
        config.write_text(before)
        wait_for("the new service", lambda: "b.start" in self.diary())
        self.assertEqual(self.house.end(child)[0], 0)
        self.assertEqual(self.diary(), ["a.init", "a.start", "b.init", "b.start", "b.stop", "a.stop", "b.deinit",
                                        "a.deinit"])

    def test_folders_that_cannot_be_made_are_named(self):
        config = self.config(self.plugin("a"))
        for variable in ("MSF_RUN_DIR", "MSF_LOG_DIR"):
            done = self.call("-c", config, env={**self.house.env, variable: "/proc/nowhere"})
            self.assertEqual(done.returncode, 1)
            self.assertRegex(done.stderr, rf"msf_shell: .*msf_shell\.trial.* in /proc/nowhere \({variable}\)")
        self.assertEqual(self.diary(), [])
        self.assertEqual(list(self.house.run.iterdir()), [])

    def test_nobody_has_to_listen(self):
        env = {**self.house.env, "NOTIFY_SOCKET": "/proc/nowhere"}
        status, _, err = self.house.end(self.shell(self.config(self.plugin("a")), env=env))
        self.assertEqual(status, 0)
        self.assertIn("NOTIFY_SOCKET=/proc/nowhere", err)

    def test_readiness_is_told_to_systemd(self):
        path = self.house.folder / "notify"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
            ear.bind(str(path))
            ear.settimeout(10)
            env = {**self.house.env, "NOTIFY_SOCKET": str(path)}
            child = self.house.start([program("msf_shell"), "-c", self.config(self.plugin("a"))], env=env)
            self.assertIn(b"READY=1", ear.recv(256))
            child.terminate()
            self.assertIn(b"STOPPING=1", ear.recv(256))
            self.assertEqual(child.wait(10), 0)

    def test_sigterm_ends_a_demo_plugin_that_waits_for_the_agent(self):
        self.house.env["MSF_AGENT_SOCK"] = str(self.house.folder / "nobody.sock")
        for name in ("msf_agent1", "msf_agent2"):
            config = self.config({"svc_name": name, "svc_libs": str(STAGE / f"lib/lib{name}.so")})
            child = self.house.start([program("msf_shell"), "-c", config])
            log = f"service {name}: init"
            wait_for("init", lambda: (self.house.log / "msf_shell.trial.log").exists()
                     and log in self.house.text("msf_shell.trial.log"))
            began = time.monotonic()
            child.send_signal(signal.SIGTERM)
            _, said = child.communicate(timeout=10)
            self.assertLess(time.monotonic() - began, 2.5)
            self.assertEqual(child.returncode, 1, said)
            self.assertIn(f"service {name}: init failed", said)


class Documentation(ShellCase):
    def test_the_plugin_of_doc_shell_md_builds_as_written_and_runs(self):
        text = (ROOT / "doc/shell.md").read_text()
        (self.house.folder / "hello.c").write_text(re.search(r"```c\n(.*?)```", text, re.S)[1])
        line = re.search(r"^gcc .*\$STAGE.*$", text, re.M)[0]
        self.house.env["STAGE"] = str(STAGE)
        done = self.house.call(["sh", "-c", line])
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        child = self.shell(self.config({"svc_name": "hello", "svc_libs": "libhello.so"}))
        self.assertEqual(self.house.end(child)[0], 0)
        self.assertIn("good bye", self.house.text("msf_shell.trial.log"))


class OneState(ShellCase):
    def test_plugins_log_into_the_shells_own_file(self):
        child = self.shell(self.config(self.plugin("a"), self.plugin("b")))
        pid = child.pid
        self.house.end(child)
        text = self.house.text("msf_shell.trial.log")
        for line in ("service a: init", "service b: start", "a.init in trial", "b.start in trial"):
            self.assertRegex(text, rf"{re.escape(line)}.*\[pid:{pid},tid:\d+\]\n")
        self.assertEqual([path.name for path in self.house.log.iterdir()], ["msf_shell.trial.log"])

    def test_one_libmsf_is_mapped(self):
        child = self.shell(self.config(self.plugin("a")))
        mapped = set(re.findall(r"\S*/libmsf\.so\S*", Path(f"/proc/{child.pid}/maps").read_text()))
        self.assertEqual(mapped, {str((STAGE / "lib/libmsf.so.1").resolve())})
        self.house.end(child)

    def test_the_shell_needs_libmsf_and_holds_no_copy_of_it(self):
        needed = self.house.call(["readelf", "-dW", program("msf_shell")]).stdout
        self.assertIn("[libmsf.so.1]", needed)
        self.assertIn("$ORIGIN/../lib", needed)
        self.assertNotIn("libipc", needed)
        imports = self.house.call(["nm", "-D", "--undefined-only", program("msf_shell")]).stdout
        self.assertIn("msf_log_write", imports)

    def test_a_second_copy_of_libmsf_is_refused(self):
        copy = self.house.folder / "second.so"
        shutil.copy2((STAGE / "lib/libmsf.so.1").resolve(), copy)
        source = self.house.folder / "a.c"
        source.write_text("""
            #include <dlfcn.h>
            #include <errno.h>
            #include <msf_event.h>
            #include <msf_log.h>
            #include <msf_svc.h>
            static s32 on_init(void *data, u32 len)
            {
                void *second = dlopen(SECOND, RTLD_NOW | RTLD_LOCAL);
                struct msf_event_base *(*make)(void);
                (void)data, (void)len;
                if (second == NULL)
                    return -1;
                *(void **)&make = dlsym(second, "msf_event_base_new");
                errno = 0;
                msf_log_write(DBG_INFO, "TWIN", MSF_FUNC_FILE_LINE, "second copy: %s",
                              make() == NULL && errno == EALREADY ? "refused" : "runs");
                return 0;
            }
            struct msf_svc a = { .init = on_init };
        """)
        self.house.compile(source, self.house.folder / "liba.so", "-shared", "-fPIC", f'-DSECOND="{copy}"', "-ldl")
        self.house.end(self.shell(self.config({"svc_name": "a", "svc_libs": "liba.so"})))
        self.assertIn("second copy: refused", self.house.text("msf_shell.trial.log"))


class SeedPair(ShellCase):
    """The seed's own file, byte for byte, with a real agent."""

    ALONE = "a call is answered within a second of the agent's death"
    CONFIG = ROOT / "script/config/msf_agent_svc.json"
    LOG = "msf_shell.msf_agent.log"

    def answered(self):
        return [int(number) for number in re.findall(r"\[AGENT2\].* call (\d+) answered", self.house.text(self.LOG))]

    def test_agent2_calls_agent1_every_second_and_within_a_second_of_the_agents_death(self):
        agent = self.house.agent()
        shell = self.shell(self.CONFIG)
        wait_for("three answers", lambda: len(self.answered()) >= 3)
        self.assertEqual(self.answered()[:3], [1, 2, 3])
        text = self.house.text(self.LOG)
        for line in ("init", "start"):
            for name in ("msf_agent1", "msf_agent2"):
                self.assertRegex(text, rf"service {name}: {line}\[pid:{shell.pid},")

        # Half a second before the next call, so that the second it waits by itself does not hide the recovery.
        middle = time.monotonic() + 0.5
        wait_for("the middle of the second", lambda: time.monotonic() > middle)
        agent.kill()
        killed = time.monotonic()
        agent.wait()
        before = len(self.answered())
        agent = self.house.agent()
        wait_for("an answer after the kill", lambda: len(self.answered()) > before)
        self.assertLess(time.monotonic() - killed, 1.0)

        status, _, err = self.house.end(shell)
        self.assertEqual(status, 0, err)
        self.assertIn("logged out after", self.house.text(self.LOG))
        self.assertEqual(self.house.end(agent)[0], 0)

    def test_calls_go_on_as_soon_as_a_missing_agent_is_back(self):
        agent = self.house.agent()
        shell = self.shell(self.CONFIG)
        wait_for("an answer", self.answered)
        self.house.end(agent, signal.SIGKILL)
        wait_for("the failure in the log", lambda: "retrying every" in self.house.text(self.LOG))
        before = len(self.answered())
        agent = self.house.agent()
        back = time.monotonic()
        wait_for("an answer", lambda: len(self.answered()) > before)
        self.assertLess(time.monotonic() - back, 5, "libipc backs off to two seconds")
        self.assertIn("answered again", self.house.text(self.LOG))
        self.assertEqual(self.house.end(shell)[0], 0)
        self.house.end(agent)

    def test_without_an_agent_the_shell_fails_and_says_so(self):
        self.house.env["MSF_AGENT_WAIT_MS"] = "100"
        done = self.fails(self.CONFIG, 1, "service msf_agent1: init failed")
        self.assertIn("cannot log in to msf_agent as 0x31", done.stderr)

    def test_agent2_alone_in_a_process_has_a_client_of_its_own(self):
        agent = self.house.agent()
        entries = {name: {"svc_name": name, "svc_libs": f"lib{name}.so"} for name in ("msf_agent1", "msf_agent2")}
        caller = self.shell(self.config(entries["msf_agent2"], proc_name="caller", name="caller.json"))
        server = self.shell(self.config(entries["msf_agent1"], proc_name="server", name="server.json"))
        wait_for("an answer", lambda: "call 1 answered" in self.house.text("msf_shell.caller.log"))
        self.assertIn("through its own client", self.house.text("msf_shell.caller.log"))
        for child in (caller, server, agent):
            self.assertEqual(self.house.end(child)[0], 0)

    def test_agent1_behind_another_owner_of_the_client_is_refused(self):
        agent = self.house.agent()
        config = self.config({"svc_name": "msf_agent2", "svc_libs": "libmsf_agent2.so"},
                             {"svc_name": "msf_agent1", "svc_libs": "libmsf_agent1.so"})
        done = self.fails(config, 1, "service msf_agent1: init failed")
        self.assertIn("list msf_agent1 before it", done.stderr)
        self.house.end(agent)


if __name__ == "__main__":
    unittest.main()
