"""Plugins in Rust: the sample, panics, threads."""

import shutil
import unittest

from house import wait_for
from shells import PluginCase, hostile, rust


class Rust(PluginCase):
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
        config = self.config(hostile(self), self.counter("b"))
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
            self.config(hostile(self, config={"panic": where}), self.counter("b"))
            self.assertIn(f"{where} failed", self.ask(config, "load", "hostile", code=1))
            self.assertEqual(len(self.mapped(child)), 1)
            self.config(hostile(self), self.counter("b"))
            self.ask(config, "load", "hostile")
        self.ends(child)

    def test_a_thread_of_rust_that_is_left_keeps_the_library(self):
        config = self.config(hostile(self))
        child = self.shell(config)
        self.ask(config, "call", "hostile", "leave")
        self.assertRegex(self.ask(config, "unload", "hostile"), r"is left mapped: thread 'left by rust' \(\d+\) still runs")
        (self.house.folder / "go").write_text("")
        wait_for("the library to go", lambda: self.listed(config)[1]["left"] == [])
        self.assertEqual(self.mapped(child), set())
        self.ends(child)


if __name__ == "__main__":
    unittest.main()
