"""Loading, calling and unloading again and again leaves nothing behind."""

import os
import re
import unittest
from pathlib import Path

from shells import PluginCase, hostile


class Cycles(PluginCase):
    """As many as MSF_CYCLES says, of each; the long run is in test/soak."""

    LONG = True
    CYCLES = os.environ.get("MSF_CYCLES")
    WARM = 20
    MOST_KIB = 256

    def test_a_plugin_in_c_leaves_nothing(self):
        self.cycles(lambda: self.counter("a", "LOOP", "KEYS"), "a")

    def test_a_plugin_in_rust_leaves_nothing(self):
        self.cycles(lambda: hostile(self), "hostile")

    def cycles(self, plugin, name):
        config = self.config(self.counter("b"))
        child = self.shell(config)
        self.config(self.counter("b"), plugin())
        rounds = int(self.CYCLES or 100)
        with self.talk() as ask:
            def cycle():
                ask(verb="load", service=name)
                self.assertEqual(ask(verb="call", service=name, command="add", text="9")["text"], "9")
                self.assertIn("is unmapped", ask(verb="unload", service=name)["done"][-1])
            for _ in range(self.WARM):
                cycle()
            before = self.use(child)
            for _ in range(rounds - self.WARM):
                cycle()
            after = self.use(child)
        if self.CYCLES:
            used = ", ".join(f"{what} {before[what]} -> {after[what]}" for what in before)
            print(f"plugins: {rounds} cycles of {name}: {used}", flush=True)
        kib = after.pop("KiB") - before.pop("KiB")
        self.assertEqual(after, before)
        self.assertLess(kib, self.MOST_KIB)
        self.ends(child)

    def use(self, child):
        """Memory of its own: the log's ring and pages of files are shared, and come as they are touched."""
        proc = Path(f"/proc/{child.pid}")
        rss = int(re.search(r"RssAnon:\s+(\d+)", (proc / "status").read_text())[1])
        mappings = len((proc / "maps").read_text().splitlines())
        return {"descriptors": len(os.listdir(proc / "fd")), "threads": len(os.listdir(proc / "task")),
                "libraries": len(self.mapped(child)), "mappings": mappings, "KiB": rss}


if __name__ == "__main__":
    unittest.main()
