"""What the release tree weighs, on disk and in memory, against what was promised for a router."""

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "script"))

from builder import stage, target                       # noqa: E402

KB, MB = 1024, 1024 * 1024
FILES = {"lib/libmsf.so.1": 600 * KB, "lib/libipc.so.1": 500 * KB, "bin/msf_agent": 1536 * KB}
RESIDENT = {"msf_agent": 5 * MB, "msf_daemon": 4 * MB}


def tree():
    """The stage tree under test."""
    return stage.Stage(target.named(None))


@unittest.skipUnless(tree().stamp.exists(), "no stage tree; run ./build.py first")
class Footprint(unittest.TestCase):
    def test_files_are_as_small_as_promised(self):
        for name, limit in FILES.items():
            size = (tree().root / name).stat().st_size
            print(f"{name}: {size:,} bytes")
            self.assertLessEqual(size, limit, name)

    def test_idle_programs_are_as_small_as_promised(self):
        with tempfile.TemporaryDirectory(prefix="msf-footprint-") as name:
            folder = Path(name)
            (folder / "agent.conf").write_text("net_enable=false\n")
            (folder / "daemon.json").write_text(
                '{"msf_author": "", "msf_version": "", "msf_desc": "", "msf_procs": [{"proc_idx": 0, '
                '"proc_name": "sleep", "proc_path": "/bin/sleep", "args": ["60"]}]}\n')
            for program, conf in (("msf_agent", "agent.conf"), ("msf_daemon", "daemon.json")):
                resident = self.resident(folder, program, conf)
                print(f"{program}: {resident // KB:,} KB resident when idle")
                self.assertLessEqual(resident, RESIDENT[program], program)

    def resident(self, folder, program, conf):
        """The resident size once its socket is there, and it has had a moment to settle."""
        env = {**os.environ, "MSF_RUN_DIR": str(folder / "run"), "MSF_LOG_DIR": str(folder / "log")}
        child = subprocess.Popen([tree().bin / program, "-c", folder / conf], env=env, cwd=folder,
                                 stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        try:
            deadline = time.monotonic() + 5
            while not (folder / "run" / f"{program}.sock").exists():
                self.assertLess(time.monotonic(), deadline, f"{program} has opened no socket within 5 s")
                time.sleep(0.01)
            time.sleep(0.2)
            status = Path(f"/proc/{child.pid}/status").read_text()
            return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) * KB
        finally:
            child.send_signal(signal.SIGTERM)
            child.wait(10)


if __name__ == "__main__":
    unittest.main()
