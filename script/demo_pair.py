#!/usr/bin/env python3
"""`msf_agent & msf_upnp & msf_dlna`, without arguments, as an ordinary user in an empty folder.

usage: script/demo_pair.py STAGE [RUNNER...]

RUNNER is what runs the programs of a foreign target here, such as `qemu-arm -L /usr/arm-linux-gnueabihf`. Passes when
msf_dlna says `friend name(UPNP)` within a second (ten under a runner) and SET and GET follow every two seconds.
"""

import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from household import Failure, Log, children_are_ours, end_descendants, leftovers, shared_memory, wait_until

PERIOD = 2.0
ROUNDS = 2
FRIEND = re.compile(r"friend name\(UPNP\)")
SET = re.compile(r"UPnP set")
GET = re.compile(r"friend name\(DLNA\)")


def main(arguments):
    if not arguments:
        print(__doc__, file=sys.stderr)
        return 2
    children_are_ours()
    folder = Path(tempfile.mkdtemp(prefix="msf-pair-"))
    pair = Pair(Path(arguments[0]).resolve(), folder, arguments[1:])
    try:
        pair.run()
    except Failure as failure:
        end_descendants()
        print(f"pair FAILED: {failure}\nkept: {folder}", file=sys.stderr, flush=True)
        return 1
    except BaseException:
        end_descendants()
        raise
    shutil.rmtree(folder)
    print("pair passed", flush=True)
    return 0


class Pair:
    def __init__(self, stage, folder, runner):
        self.folder = folder
        self.runner = runner
        self.limit = 10 if runner else 1
        self.memory = shared_memory()
        self.user = ordinary_user()
        # An ordinary user reads the programs, and writes his empty folder and his XDG folder only.
        self.tree, self.home, self.xdg = folder / "tree", folder / "home", folder / "xdg"
        folder.chmod(0o755)
        for part in ("bin", "lib"):
            shutil.copytree(stage / part, self.tree / part, symlinks=True)
        for mine in (self.home, self.xdg):
            mine.mkdir(mode=0o700)
            if self.user is not None:
                os.chown(mine, self.user, self.user)
        self.env = {name: value for name, value in os.environ.items() if not name.startswith("MSF_")}
        self.env["XDG_RUNTIME_DIR"] = str(self.xdg)
        self.running = []

    def run(self):
        began = time.monotonic()
        for name in ("msf_agent", "msf_upnp", "msf_dlna"):
            self.start(name)
        outputs = {name: Log(self.home / f"{name}.out") for name, _ in self.running}
        dlna = dict(self.running)["msf_dlna"]
        outputs["msf_dlna"].wait(FRIEND, self.limit, "msf_dlna has not said `friend name(UPNP)`", dlna)
        print(f"friend name(UPNP) after {(time.monotonic() - began) * 1000:.0f} ms", flush=True)
        for _ in range(ROUNDS):
            seconds = PERIOD + self.limit
            outputs["msf_upnp"].wait(SET, seconds, "msf_upnp has seen no SET", dlna)
            outputs["msf_dlna"].wait(GET, seconds, "msf_dlna has seen no answer to its GET", dlna)
        self.stop()

    def start(self, name):
        with (self.home / f"{name}.out").open("w") as out:
            child = subprocess.Popen([*self.runner, self.tree / "bin" / name], cwd=self.home, env=self.env,
                                     stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
                                     **({} if self.user is None else {"user": self.user, "group": self.user,
                                                                      "extra_groups": []}))
        self.running.append((name, child))

    def stop(self):
        for name, child in reversed(self.running):
            child.send_signal(signal.SIGTERM)
            wait_until(lambda child=child: child.poll() is not None, 5 + self.limit, f"{name} has not ended on SIGTERM")
            if child.returncode != 0:
                raise Failure(f"{name} should end with exit status 0 on SIGTERM, not {child.returncode}")
        left = leftovers(self.folder, self.xdg, self.memory)
        if left:
            raise Failure("left behind: " + "; ".join(left))


def ordinary_user():
    """Root runs the pair as nobody; anybody else is ordinary already."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam("nobody").pw_uid
    except KeyError:
        return 65534


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
