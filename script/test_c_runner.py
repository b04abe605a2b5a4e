"""test/c/run.py says what a stage tree lacks, in a line for each program, and goes on."""

import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

RUN = Path(__file__).resolve().parent.parent / "test/c/run.py"


class Incomplete(unittest.TestCase):
    def test_regress_a_stage_without_the_agent_is_told_so(self):
        with tempfile.TemporaryDirectory() as stage:
            done = subprocess.run([sys.executable, RUN, "--stage", stage, "seed3"], capture_output=True, text=True)
        self.assertEqual(1, done.returncode)
        self.assertIn("needs msf_agent in the stage tree", done.stdout)
        self.assertIn("bin/msf_agent: No such file", done.stdout)
        self.assertIn("0 passed, ", done.stdout)
        self.assertNotIn("Traceback", done.stdout + done.stderr)


if __name__ == "__main__":
    unittest.main()
