"""The brokers the benchmarks run: how each is compiled and started, how it is reached, and what it has consumed.

Every broker listens on places of its own (ports the kernel chose, a temporary folder), so that whatever else runs on the
machine is left alone. Only what is started here is stopped here, by its process.
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BENCH = Path(__file__).resolve().parent
LOAD = [BENCH / "broker" / f"{name}.c" for name in ("load", "stream", "librpc", "nats", "gearman", "nmid")]


def compile_c(folder, name, *sources):
    out = folder / name
    flags = ["-std=c11", "-O2", "-Wall", "-Wextra", "-Werror"]
    subprocess.run(["cc", *flags, "-o", out, *sources], check=True)
    return out


def default_agent():
    """The staged one when build.py runs us, else cargo's."""
    stage = os.environ.get("MSF_STAGE")
    return str(Path(stage) / "bin/msf_agent" if stage else ROOT / "target/release/msf_agent")


def program(name):
    """A Debian package's program; those of servers may lie outside the PATH of a user."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    return found or sys.exit(f"{name} is not installed; build.py bench does that")


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def connects(address):
    """Whether somebody listens on a unix socket's path or a port of this machine."""
    family, to = (socket.AF_INET, ("127.0.0.1", address)) if isinstance(address, int) else (socket.AF_UNIX, str(address))
    with socket.socket(family) as one:
        return one.connect_ex(to) == 0


class Broker:
    """A running broker: `name` in the tables, `protocol` and `address` for the load."""

    def __init__(self, name, protocol, address, command, stdout=subprocess.DEVNULL, **how):
        self.name, self.protocol, self.address = name, protocol, address
        self.process = subprocess.Popen(list(map(str, command)), stdin=subprocess.DEVNULL, stdout=stdout,
                                        stderr=subprocess.DEVNULL, text=True, **how)

    def wait_until(self, address):
        """Returns once the broker listens there."""
        for _ in range(500):
            if self.process.poll() is not None:
                sys.exit(f"{self.name} ended with {self.process.returncode}")
            if connects(address):
                return self
            time.sleep(0.01)
        self.stop()
        sys.exit(f"{self.name} does not listen on {address}")

    def alive(self):
        return self.process.poll() is None

    def cpu_seconds(self):
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(") ", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def resident_bytes(self):
        return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def stop(self):
        if self.alive():
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        if self.process.stdout:
            self.process.stdout.close()


def agent(folder, binary, name, protocol, **settings):
    """An agent with `settings`, reached by its unix socket (librpc), its nmid port or its HTTP port."""
    place = folder / re.sub(r"\W+", "-", name)
    place.mkdir(exist_ok=True)
    config = place / "agent.conf"
    listener = {f"{protocol}_enable": "true", f"{protocol}_port": 0} if protocol != "librpc" else {}
    wanted = {"net_enable": "false", **listener, **settings}
    config.write_text("".join(f"{key}={value}\n" for key, value in wanted.items()))
    environment = dict(os.environ, MSF_RUN_DIR=str(place), MSF_LOG_DIR=str(place / "log"))
    environment.pop("MSF_AGENT_SOCK", None)
    one = Broker(name, protocol, None, [binary, "-c", config], subprocess.PIPE, env=environment)
    greeting = one.process.stdout.readline()
    found = {"librpc": r"unix ([^ ,;]+)", "nmid": r"nmid \S+:(\d+)", "http": r"HTTP \S+:(\d+)"}
    ports = {what: match[1] for what, pattern in found.items() if (match := re.search(pattern, greeting))}
    if protocol not in ports:
        one.stop()
        sys.exit(f"{name} says nothing of {protocol}: {greeting.strip() or 'no greeting'}")
    one.ports = ports
    one.address = ports[protocol] if protocol == "librpc" else int(ports[protocol])
    return one


def forwarder(folder, binary):
    path = folder / "forwarder.sock"
    return Broker("forwarder", "librpc", path, [binary, path]).wait_until(path)


def floor(binary, name, limit):
    port = free_port()
    return Broker(name, "nmid", port, [binary, port, limit]).wait_until(port)


def nats():
    port = free_port()
    return Broker("nats-server", "nats", port, [program("nats-server"), "-a", "127.0.0.1", "-p", port]).wait_until(port)


def gearmand(folder, *options):
    port = free_port()
    command = [program("gearmand"), "-L", "127.0.0.1", "-p", port, "-l", "none", "-P", folder / "gearmand.pid", *options]
    return Broker("gearmand", "gearman", port, command).wait_until(port)


ORIGINAL_CONFIG = """\
RpcServer: {{network: tcp, host: 127.0.0.1, port: "{port}", http_port: ""}}
WhiteList: {{enable: false}}
BlackList: {{enable: false}}
Prometheus: {{enable: false}}
"""


def original_program():
    """The original nmid broker, built from its published module unless it stands there; None, said why, without one."""
    sys.path.insert(0, str(ROOT / "test/interop"))
    import peers
    try:
        return peers.original_broker()
    except (peers.Refused, peers.Broken, FileNotFoundError, subprocess.TimeoutExpired) as why:
        print(f"the original nmid broker is left out: {why}")
        return None


def original(folder, binary, name):
    """It reads config/server.yaml where it runs, and nothing else."""
    port, place = free_port(), folder / "original"
    (place / "config").mkdir(parents=True, exist_ok=True)
    (place / "config/server.yaml").write_text(ORIGINAL_CONFIG.format(port=port))
    environment = dict(os.environ, LOG_DIR=str(place / "log"))
    return Broker(name, "nmid", port, [binary], cwd=place, env=environment).wait_until(port)


@contextmanager
def on_one_core(broker, wanted=True):
    """Puts the broker, this process and what it starts meanwhile on one core, and lets them go again."""
    all_cores = os.sched_getaffinity(0)
    try:
        if wanted:
            pin(broker.process.pid, {max(all_cores)})
            os.sched_setaffinity(0, {max(all_cores)})
        yield
    finally:
        os.sched_setaffinity(0, all_cores)
        if broker.alive():
            pin(broker.process.pid, all_cores)


def pin(pid, cores):
    for thread in os.listdir(f"/proc/{pid}/task"):
        # A thread may just have ended.
        with suppress(ProcessLookupError):
            os.sched_setaffinity(int(thread), cores)


class Workers:
    """Processes that answer "Echo" through a broker while the `with` lasts."""

    def __init__(self, load, protocol, address, many):
        self.command = [str(load), "work", protocol, str(address)]
        self.many, self.processes = many, []

    def __enter__(self):
        try:
            for index in range(self.many):
                one = subprocess.Popen([*self.command, str(index)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
                self.processes.append(one)
                if one.stdout.readline().strip() != "ready":
                    raise Died(f"a worker could not register ({' '.join(self.command[2:])})")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for one in self.processes:
            one.kill()
            one.wait()
            one.stdout.close()


class Died(Exception):
    """A broker, or the load because of it, did not get through a run."""
