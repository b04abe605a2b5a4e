"""The nmid soak's passes: how many callers of which kind, against how many reactors, plain and in chaos.

Each pass has an agent of its own; `msf_nmid_soak` makes the traffic and judges every answer, and what it reports is
held against what the agent has counted.
"""

import json
import os
import re
import signal
import subprocess
import tempfile
import urllib.request
from dataclasses import dataclass
from pathlib import Path

MUTE_DEADLINE_MS = 400
WORKERS = "g2=3,g0=1"
SIZES = (1, 8, 32, 256)


class Agent:
    """A broker in folders of its own, with ports that the kernel chose."""

    def __init__(self, stage, this):
        self.folder = tempfile.TemporaryDirectory(prefix="msf-nmid-soak-")
        home = Path(self.folder.name)
        self.socket = home / "msf_agent.sock"
        settings = home / "agent.conf"
        settings.write_text(f"""max_threads={this.reactors}
net_enable=false
nmid_enable=true
nmid_port=0
http_enable=true
http_port=0
metrics_enable=true
metrics_port=0
in_flight={this.in_flight}
deadline_ms={this.deadline_ms}
function.SoakMute.deadline_ms={MUTE_DEADLINE_MS}
function.SoakMute.in_flight=1
function.SoakCrowd.queue_limit=2
function.SoakCrowd.in_flight=1
""")
        env = {**os.environ, "MSF_RUN_DIR": str(home), "MSF_LOG_DIR": str(home / "log"), "MSF_LOG_RING_DIR": str(home)}
        env.pop("MSF_AGENT_SOCK", None)
        self.child = subprocess.Popen([stage / "bin" / "msf_agent", "-c", settings], env=env, cwd=home, text=True,
                                      stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        self.greeting = self.child.stdout.readline()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.child.poll() is None:
            self.child.kill()
        self.child.wait()
        self.child.stdout.close()
        self.folder.cleanup()

    def place(self, protocol):
        found = re.search(rf"{protocol} ([0-9.]+:[0-9]+)", self.greeting)
        if not found:
            raise RuntimeError(f"the agent does not say where it speaks {protocol}: {self.greeting!r}")
        return found.group(1)

    def counted(self, series):
        """The sum of a series' samples on the metrics page."""
        with urllib.request.urlopen(f"http://{self.place('metrics')}/metrics", timeout=10) as page:
            lines = page.read().decode().splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if re.match(rf"{series}[ {{]", line))

    def ends_well(self):
        self.child.send_signal(signal.SIGTERM)
        return self.child.wait(timeout=20) == 0


def callers(size):
    """`size` of nmid's ordinary callers, and beside them a few of every other kind."""
    if size == 1:
        return "g2=1"
    others = max(1, size // 8)
    kinds = ("g0", "pipelined", "impatient", "librpc", "http")
    return ",".join([f"g2={size - others * len(kinds)}" if size > 8 else "g2=3",
                     *(f"{kind}={others}" for kind in kinds), "mute=1", "crowd=6"])


@dataclass
class Pass:
    """One run."""

    reactors: int
    in_flight: int
    size: int
    chaos: bool

    @property
    def deadline_ms(self):
        """A worker that leaves without reading its last job takes it along: somebody waits for the deadline."""
        return 3000 if self.chaos else 10000

    def __str__(self):
        what = "in chaos" if self.chaos else "plain"
        return f"{what}: {self.size} callers, {self.reactors} reactors, {self.in_flight} in flight"


def passes(brief):
    """All sizes on four reactors, and one size on one reactor, with several jobs at a time for each worker."""
    sizes = [(1, 4, 32)] + ([(4, 1, 32)] if brief else [(4, 1, size) for size in SIZES])
    return [Pass(*each, chaos) for each in sizes for chaos in (False, True)]


def run_pass(load, stage, this, seconds, payload):
    """Whether everything was right; says what was not."""
    with Agent(stage, this) as agent:
        command = [load, "--nmid", agent.place("nmid"), "--librpc", agent.socket, "--http", agent.place("HTTP"),
                   "--seconds", seconds, "--payload", payload, "--chaos", "yes" if this.chaos else "no",
                   "--callers", callers(this.size), "--workers", WORKERS, "--processes", 1 if this.chaos else 0,
                   "--in-flight", this.in_flight,
                   "--deadline-ms", this.deadline_ms, "--mute-deadline-ms", MUTE_DEADLINE_MS]
        done = subprocess.run([str(word) for word in command], text=True, stdout=subprocess.PIPE, check=False,
                              timeout=seconds + 120)
        print(done.stdout, end="", flush=True)
        troubles = [] if done.returncode == 0 else [f"msf_nmid_soak ended with {done.returncode}"]
        if done.returncode == 0:
            troubles += against_counters(json.loads(done.stdout), agent)
        if not agent.ends_well():
            troubles.append("the agent did not end well")
    for trouble in troubles:
        print(f"soak nmid: {trouble}", flush=True)
    return not troubles


def against_counters(report, agent):
    """What the callers have seen, and the agent says otherwise."""
    troubles = []
    impatient = report["callers"].get("impatient", {"given_up": 0, "crossed": 0, "left": 0})
    # An answer that crossed its successor was given, so that request was not abandoned.
    expected = impatient["given_up"] - impatient["crossed"]
    abandoned = agent.counted("msf_agent_abandoned_requests_total")
    # Who was told of a failure and could not know of which request has left: some of those may have been abandoned.
    if abs(abandoned - expected) > impatient["left"]:
        troubles.append(f"{expected} requests were given up unanswered, {abandoned:.0f} counted as abandoned")
    for gauge in ("msf_agent_function_queue_depth", "msf_agent_function_in_flight"):
        # What still waits for the mute worker has its deadline soon, and nobody waits for it.
        if agent.counted(gauge) > 1:
            troubles.append(f"{gauge} is {agent.counted(gauge):.0f} after the end")
    return troubles
