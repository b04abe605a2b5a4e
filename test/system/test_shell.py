"""msf_shell as a program: options, the seed's JSON, its process, and one state in it."""

import os
import re
import shutil
import signal
import socket
import time
import unittest
from pathlib import Path

from house import ROOT, STAGE, program, wait_for
from shells import SEED, ShellCase


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
        for word, hint in (("r", "one of"), ("reloa", "reload"), ("shut", "shutdown"), ("halt", "one of")):
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


if __name__ == "__main__":
    unittest.main()
