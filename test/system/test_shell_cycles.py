"""Loading, calling and unloading again and again leaves nothing behind."""

import os
import re
import unittest
from pathlib import Path

from shells import PluginCase, hostile


class Cycles(PluginCase):
    """As many as MSF_CYCLES says, of each; the long run is in test/soak."""

    def test_a_plugin_in_c_leaves_nothing(self):
        self.cycles(lambda: self.counter("a", "LOOP"), "a")

    def test_a_plugin_in_rust_leaves_nothing(self):
        self.cycles(lambda: hostile(self), "hostile")

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
