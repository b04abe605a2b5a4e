"""How little the release build's idle programs keep resident. (script/check_sizes.py weighs the files.)

Promised for release trees only; a debug tree is skipped.
"""

import json
import unittest
from pathlib import Path

from house import STAGE, House, program, wait_for

MB = 1000 * 1000


def release():
    return (STAGE / "lib/libmsf.so.1").stat().st_size < 2 * MB


def resident(pid):
    """Bytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise AssertionError(f"/proc/{pid}/status has no VmRSS")


@unittest.skipUnless(release(), "a debug tree has no promised size")
class Footprint(unittest.TestCase):
    def test_an_idle_agent_keeps_below_5_mb(self):
        house = House(self)
        agent = house.agent()
        print(f"\nidle msf_agent: {resident(agent.pid)} bytes resident")
        self.assertLessEqual(resident(agent.pid), 5 * MB)

    def test_an_idle_daemon_keeps_below_4_mb(self):
        house = House(self)
        config = house.folder / "daemon.json"
        config.write_text(json.dumps({
            "msf_author": "test", "msf_version": "1", "msf_desc": "test",
            "msf_procs": [{"proc_idx": 0, "proc_name": "agent", "proc_path": str(program("msf_agent"))}]}))
        daemon = house.start([program("msf_daemon"), "-c", config])
        wait_for("the daemon's child to listen", (house.run / "msf_agent.sock").is_socket)
        size = resident(daemon.pid)
        print(f"\nidle msf_daemon: {size} bytes resident")
        # Killed, it would leave its child behind.
        self.assertEqual(house.end(daemon)[0], 0)
        self.assertLessEqual(size, 4 * MB)


if __name__ == "__main__":
    unittest.main()
