#!/usr/bin/env python3
"""Echo through a broker: msf_agent beside a bare epoll forwarder in C and nats-server's request/reply.

Every round runs each broker once, in turn, under the same load; what is compared is the median over the rounds of the
ratio within a round, so that a slow minute of the machine hits all of them. Exits with 1 when a target is missed; the
targets are for 10 callers, the other cases are there to be looked at.
"""
import argparse
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
# The yardstick must be honest before ours is compared with it.
LEAST_FORWARDER_TO_NATS = 1.4
LEAST_AGENT_TO_FORWARDER = 0.7
GOAL_AGENT_TO_FORWARDER = 0.85


def compile_c(name, folder):
    out = folder / name
    flags = ["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror"]
    subprocess.run(["cc", *flags, "-o", out, HERE / f"{name}.c"], check=True)
    return out


def stop(process):
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_for(process, probe, what):
    """Waits until `probe` connects to what `process` listens on."""
    for _ in range(500):
        if process.poll() is not None:
            sys.exit(f"{what} ended with {process.returncode}")
        try:
            probe()
            return
        except OSError:
            time.sleep(0.01)
    sys.exit(f"{what} does not listen")


def unix_probe(path):
    def probe():
        with socket.socket(socket.AF_UNIX) as one:
            one.connect(str(path))
    return probe


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Broker:
    """A running broker: its process, and how the load reaches it."""

    def __init__(self, name, protocol, address, process):
        self.name, self.protocol, self.address, self.process = name, protocol, address, process


def start_forwarder(folder, tools, _args):
    path = folder / "forwarder.sock"
    process = subprocess.Popen([tools["forwarder"], path])
    wait_for(process, unix_probe(path), "forwarder")
    return Broker("forwarder", "librpc", path, process)


def start_agent(folder, _tools, args):
    path = folder / "msf_agent.sock"
    config = folder / "agent.conf"
    lines = ["net_enable=false"] + ([f"max_threads={args.reactors}"] if args.reactors else [])
    config.write_text("\n".join(lines) + "\n")
    env = dict(os.environ, MSF_RUN_DIR=str(folder), MSF_LOG_DIR=str(folder / "log"))
    env.pop("MSF_AGENT_SOCK", None)
    process = subprocess.Popen([args.agent, "-c", config], env=env)
    wait_for(process, unix_probe(path), "msf_agent")
    return Broker("msf_agent", "librpc", path, process)


def start_nats(_folder, _tools, args):
    port = free_port()
    process = subprocess.Popen([args.nats, "-a", "127.0.0.1", "-p", str(port)], stderr=subprocess.DEVNULL)
    wait_for(process, lambda: socket.create_connection(("127.0.0.1", port)).close(), "nats-server")
    return Broker("nats-server", "nats", port, process)


def cpu_seconds(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(broker, load, case, seconds):
    """One run of `case` through `broker`: calls per second, latencies, the broker's CPU per call."""
    connections, services, payload, window = case
    servers = []
    try:
        for index in range(services):
            command = [load, "serve", broker.protocol, str(broker.address), str(index)]
            server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
            servers.append(server)
            if server.stdout.readline().strip() != "ready":
                sys.exit(f"a service could not log in to {broker.name}")
        numbers = [connections, services, payload, window, seconds]
        command = [load, "call", broker.protocol, str(broker.address), *map(str, numbers)]
        before = cpu_seconds(broker.process.pid)
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
        if done.returncode != 0:
            sys.exit(f"the load failed through {broker.name}")
        result = json.loads(done.stdout)
        result["cpu_us"] = (cpu_seconds(broker.process.pid) - before) * 1e6 / max(result["calls"], 1)
        return result
    finally:
        for server in servers:
            server.kill()
            server.wait()
            server.stdout.close()


def run_case(brokers, load, case, args):
    rounds = {broker.name: [] for broker in brokers}
    for turn in range(args.rounds):
        # Nobody is always the one who runs after the caches were cooled by another.
        first = turn % len(brokers)
        for broker in brokers[first:] + brokers[:first]:
            rounds[broker.name].append(measure(broker, load, case, args.seconds))
    return rounds


def ratio(rounds, ours, theirs):
    pairs = zip(rounds[ours], rounds[theirs])
    return statistics.median(a["rate"] / b["rate"] for a, b in pairs)


def report(case, rounds):
    connections, services, payload, window = case
    print(f"{connections} callers x {window} in flight, {services} services, {payload} bytes:")
    for name, results in rounds.items():
        def median(key):
            return statistics.median(result.get(key, 0) for result in results)
        latency = f"p50 {median('p50_us'):7.1f} us  p99 {median('p99_us'):8.1f} us  " if window == 1 else ""
        print(f"  {name:12} {median('rate'):9.0f} calls/s  {latency}broker cpu {median('cpu_us'):5.2f} us/call")


def default_agent():
    """The staged one when build.py runs us, else cargo's."""
    stage = os.environ.get("MSF_STAGE")
    return str(Path(stage) / "bin/msf_agent" if stage else ROOT / "target/release/msf_agent")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--agent", default=default_agent(), help="the agent (a release build)")
    parser.add_argument("--nats", default=shutil.which("nats-server") or "/usr/sbin/nats-server")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=1.0, help="length of one run")
    parser.add_argument("--reactors", type=int, default=0, help="max_threads of the agent; 0: its default")
    parser.add_argument("--case", action="append", metavar="CALLERS,SERVICES,PAYLOAD,WINDOW")
    parser.add_argument("--json", metavar="FILE", help="write all results there")
    args = parser.parse_args()
    if not Path(args.agent).exists():
        sys.exit(f"{args.agent}: not there; build it with cargo build --release -p msf-agent")
    cases = [tuple(map(int, case.split(","))) for case in args.case or ["10,2,128,1", "10,1,128,1", "1,1,128,1"]]
    everything, missed = [], []
    with tempfile.TemporaryDirectory(prefix="msf-echo-") as folder:
        folder = Path(folder)
        tools = {name: compile_c(name, folder) for name in ("forwarder", "load")}
        starters = [start_forwarder, start_agent]
        if Path(args.nats).exists():
            starters.append(start_nats)
        else:
            print("nats-server is not installed: it is left out, and its ratio with it")
        brokers = []
        try:
            for starter in starters:
                brokers.append(starter(folder, tools, args))
            for case in cases:
                rounds = run_case(brokers, tools["load"], case, args)
                report(case, rounds)
                ours = ratio(rounds, "msf_agent", "forwarder")
                print(f"  msf_agent is {ours:.2f}x the forwarder "
                      f"(at least {LEAST_AGENT_TO_FORWARDER}, goal {GOAL_AGENT_TO_FORWARDER})")
                if case[0] == 10 and ours < LEAST_AGENT_TO_FORWARDER:
                    missed.append(f"{case}: msf_agent {ours:.2f}x the forwarder")
                if "nats-server" in rounds:
                    floor = ratio(rounds, "forwarder", "nats-server")
                    print(f"  the forwarder is {floor:.2f}x nats-server, msf_agent "
                          f"{ratio(rounds, 'msf_agent', 'nats-server'):.2f}x")
                    if case[0] == 10 and floor < LEAST_FORWARDER_TO_NATS:
                        missed.append(f"{case}: the forwarder is only {floor:.2f}x nats-server")
                everything.append({"case": case, "rounds": rounds})
        finally:
            for broker in brokers:
                stop(broker.process)
    if args.json:
        Path(args.json).write_text(json.dumps(everything, indent=1))
    for line in missed:
        print(f"MISSED {line}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
