"""msf_agent as the tests here run it: folders of its own, nmid and HTTP on ports that the kernel chooses."""

import os
import platform
import re
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import peers

STAGE = Path(os.environ.get("MSF_STAGE") or peers.ROOT / "build" / f"{platform.machine()}-unknown-linux-gnu").resolve()
PATIENCE = 30.0                     # seconds until a test gives up waiting for something that takes milliseconds
SETTINGS = """\
net_enable = false
nmid_enable = true
nmid_port = {nmid}
http_enable = true
http_port = {http}
metrics_enable = false
"""


def wait_for(what, condition, patience=PATIENCE):
    """The condition's first true value; AssertionError naming `what` when there is none in time."""
    deadline = time.monotonic() + patience
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {patience} s for {what}")
        time.sleep(0.005)


class Agent:
    """One broker; `port` is where it speaks nmid, `http` where its gateway is."""

    def __init__(self, settings=""):
        self.folder = Path(tempfile.mkdtemp(prefix="msf-interop-"))
        self.settings = settings
        self.port = self.http = 0
        self.child = None
        for name in ("run", "log"):
            (self.folder / name).mkdir(mode=0o700)
        try:
            self.start()
        except BaseException:
            self.close()
            raise

    def start(self):
        """Also again, after stop(): then on the ports it had."""
        conf = self.folder / "msf_agent.conf"
        conf.write_text(SETTINGS.format(nmid=self.port, http=self.http) + self.settings)
        self.said = self.folder / "agent.out"
        env = {**os.environ, "MSF_RUN_DIR": str(self.folder / "run"), "MSF_LOG_DIR": str(self.folder / "log"),
               "MSF_LOG_RING_DIR": str(self.folder)}
        with self.said.open("w") as out:
            self.child = subprocess.Popen([STAGE / "bin/msf_agent", "-c", conf], env=env, cwd=self.folder,
                                          stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)
        wait_for("the agent to listen", lambda: "listens on" in self.said.read_text() or not self.alive())
        self.port, self.http = self.greeting()

    def greeting(self):
        said = self.said.read_text()
        if self.child.poll() is not None:
            raise AssertionError(f"msf_agent ended with status {self.child.returncode}:\n{said}")
        line = re.search(r"listens on .*?nmid \S+:(\d+).*?HTTP \S+:(\d+)", said)
        if not line:
            raise AssertionError(f"msf_agent does not name its nmid and HTTP ports:\n{said}")
        return int(line[1]), int(line[2])

    def stop(self, sign=signal.SIGTERM):
        if self.child.poll() is None:
            self.child.send_signal(sign)
        try:
            return self.child.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()
            raise AssertionError("msf_agent did not end") from None

    def alive(self):
        return self.child.poll() is None

    def close(self):
        if self.child:
            self.child.kill()
            self.child.wait()
        shutil.rmtree(self.folder, ignore_errors=True)
