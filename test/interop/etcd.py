"""etcd-server from Debian, on ports of its own in a folder that vanishes, for workers that register themselves."""

import base64
import json
import shutil
import subprocess
import tempfile
import urllib.request
from pathlib import Path

from agent import wait_for
from original import TRIES, answers, free_port


class Etcd:
    def __init__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="msf-etcd-"))
        for _ in range(TRIES):
            self.address = f"127.0.0.1:{free_port()}"
            self.child = self.started(f"http://{self.address}", f"http://127.0.0.1:{free_port()}")
            wait_for("etcd", lambda: self.child.poll() is not None or self.ready())
            if self.child.poll() is None:
                return
        raise AssertionError(f"etcd does not start:\n{(self.folder / 'etcd.out').read_text()[-2000:]}")

    def started(self, clients, peers):
        command = ["etcd", "--data-dir", self.folder / "data", "--listen-client-urls", clients, "--advertise-client-urls",
                   clients, "--listen-peer-urls", peers, "--initial-advertise-peer-urls", peers,
                   "--initial-cluster", f"default={peers}", "--unsafe-no-fsync"]
        with (self.folder / "etcd.out").open("w") as out:
            return subprocess.Popen([str(word) for word in command], cwd=self.folder, stdin=subprocess.DEVNULL,
                                    stdout=out, stderr=subprocess.STDOUT)

    def ready(self):
        if not answers(int(self.address.rpartition(":")[2])):
            return False
        try:
            with urllib.request.urlopen(f"http://{self.address}/health", timeout=1) as health:
                return json.load(health)["health"] == "true"
        except OSError:
            return False

    def value(self, key):
        """What stands under a key, or None."""
        question = json.dumps({"key": base64.b64encode(key.encode()).decode()}).encode()
        request = urllib.request.Request(f"http://{self.address}/v3/kv/range", question,
                                         {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=5) as answer:
            found = json.load(answer).get("kvs", [])
        return base64.b64decode(found[0]["value"]).decode() if found else None

    def close(self):
        self.child.kill()
        self.child.wait()
        shutil.rmtree(self.folder, ignore_errors=True)
