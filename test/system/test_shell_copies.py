"""The private copies that libraries are loaded from, and whose code is whose."""

import json
import shutil
import socket
import unittest
from pathlib import Path

from house import program, wait_for
from shells import PluginCase


class Copies(PluginCase):
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


if __name__ == "__main__":
    unittest.main()
