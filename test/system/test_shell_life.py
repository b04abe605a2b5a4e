"""The life of services: how libraries are found, the order of their slots, and every way to fail on the way up."""

import re
import shutil
import signal
import unittest
from pathlib import Path

from house import STAGE, program, wait_for
from shells import ShellCase


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


if __name__ == "__main__":
    unittest.main()
