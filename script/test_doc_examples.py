"""The C programs printed in doc/*.md: each compiles without a warning, as C11 and against the staged libraries. (The Rust
ones are doctests of the crate they use.)"""

import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "script"))

from builder import stage, target                       # noqa: E402

STRICT = ["-std=gnu11", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-O1"]
# Pages of libmsf's areas: each has an example in C and one in Rust.
AREAS = ["crypto", "event-loop", "files", "logging", "memory", "network", "processes", "serial", "shared-memory", "system",
         "threads", "timers"]


def blocks(page, language):
    return re.findall(rf"^```{language}(?:,\w+)*\n(.*?)^```", page.read_text(), re.M | re.S)


# Printed on a page, and built from here.
SAMPLES = {"shell": ["plugins/msf_clock/msf_clock.c", "plugins/msf_words/src/lib.rs"]}


class Examples(unittest.TestCase):
    def test_what_is_printed_of_a_plugin_is_the_plugin(self):
        for page, files in SAMPLES.items():
            printed = [block for language in ("c", "rust") for block in blocks(ROOT / "doc" / f"{page}.md", language)]
            for file in files:
                with self.subTest(file):
                    self.assertIn((ROOT / file).read_text(), printed)

    def test_every_area_has_an_example_in_both_languages(self):
        for area in AREAS:
            page = ROOT / "doc" / f"{area}.md"
            with self.subTest(area):
                self.assertTrue(any("main(" in block for block in blocks(page, "c")), "no C program")
                self.assertTrue(blocks(page, "rust"), "no Rust example")

    @unittest.skipUnless(stage.Stage(target.named(None)).stamp.exists(), "no stage tree; run ./build.py first")
    def test_every_c_program_compiles_without_a_warning(self):
        tree = stage.Stage(target.named(None))
        with tempfile.TemporaryDirectory(prefix="msf-doc-") as folder:
            for page in sorted((ROOT / "doc").glob("*.md")):
                for number, block in enumerate(blocks(page, "c"), 1):
                    if "main(" not in block:
                        continue
                    with self.subTest(f"{page.name}, program {number}"):
                        source = Path(folder, f"{page.stem}_{number}.c")
                        source.write_text(block)
                        done = subprocess.run(["gcc", *STRICT, f"-I{tree.include}", source, "-o", source.with_suffix(""),
                                               f"-L{tree.lib}", "-lipc", "-lmsf", "-lpthread"], capture_output=True, text=True)
                        self.assertEqual(0, done.returncode, done.stderr)


if __name__ == "__main__":
    unittest.main()
