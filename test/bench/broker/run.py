#!/usr/bin/env python3
"""Echo through a broker: msf_agent beside the least a broker can do, and beside its peers.

nmid callers with one call in flight each, with the default limit of one job per worker and with a limit of 16; the
yardsticks are floor.c (the same frames, bare epoll, the same limit or none), nats-server, gearmand and, where it is built
and survives, the original nmid broker. Then the native librpc protocol, in step and pipelined, beside forwarder.c and
nats-server. Prints what was measured, then every ratio with its goal; exits with 1 when one is missed.
"""
import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
import brokers  # noqa: E402
from rounds import Goal, Verdicts, faults, interleaved, middle, report  # noqa: E402

ONE, MANY, NATIVE = "agent, limit 1", "agent, limit 16", "agent, librpc"
FLOOR_ONE, FLOOR, FORWARDER = "floor, limit 1", "floor", "forwarder"
NATS, GEARMAND, ORIGINAL = "nats-server", "gearmand", "original nmid"


@dataclass(frozen=True)
class Case:
    group: str
    names: tuple
    callers: int
    workers: int
    payload: int
    window: int = 1

    def __str__(self):
        window = f" x {self.window}" if self.window > 1 else ""
        core = ", one core" if self.pinned() else ""
        return f"{self.group}, {self.payload} B, {self.callers}{window} callers, {self.workers} workers{core}"

    def pinned(self):
        """One call at a time keeps one core busy; on several, where the scheduler puts its stages decides, by a factor of 3."""
        return self.callers == 1

    def goals(self):
        if self.group == "limit 1":
            return [Goal("rate", ONE, FLOOR_ONE, least=0.85)]
        if self.group == "limit 16":
            crowd = self.callers >= 10
            return [Goal("rate", MANY, FLOOR, least=0.85),
                    Goal("rate", MANY, NATS, least=1.3 if crowd else None),
                    Goal("rate", MANY, GEARMAND, least=2.5 if crowd else None),
                    Goal("rate", FLOOR, NATS),
                    Goal("p99_us", MANY, NATS, below=1),
                    Goal("p99_us", MANY, GEARMAND, below=1)]
        if self.group == "pipelined":
            return [Goal("rate", NATIVE, NATS, least=3)]
        # The forwarder must be an honest yardstick before ours is compared with it.
        crowd = self.callers >= 10 and self.workers > 1
        return [Goal("rate", NATIVE, FORWARDER, least=0.7 if crowd else None),
                Goal("rate", FORWARDER, NATS, least=1.4 if crowd else None)]


def cases():
    for payload in (64, 1024):
        for callers in (1, 10, 64):
            yield Case("limit 1", (ONE, FLOOR_ONE), callers, 2, payload)
    for payload in (64, 1024):
        for callers in (1, 10, 64):
            yield Case("limit 16", (MANY, FLOOR, NATS, GEARMAND, ORIGINAL), callers, 2, payload)
    for payload in (64, 1024):
        # Without the forwarder: it blocks on a full socket, and so much in flight fills them.
        yield Case("pipelined", (NATIVE, NATS), 8, 2, payload, 64)
    for callers, workers in ((10, 2), (10, 1), (1, 1)):
        yield Case("librpc", (NATIVE, FORWARDER, NATS), callers, workers, 128)


class Field:
    """The brokers under test, each started when it is first needed, and again should it have died."""

    def __init__(self, folder, options):
        self.running = {}
        self.load = brokers.compile_c(folder, "load", *brokers.LOAD)
        forwarder = brokers.compile_c(folder, "forwarder", HERE / "forwarder.c")
        floor = brokers.compile_c(folder, "floor", HERE / "floor.c")
        reactors = {"max_threads": options.reactors} if options.reactors else {}
        self.starters = {
            ONE: lambda: brokers.agent(folder, options.agent, ONE, "nmid", **reactors),
            MANY: lambda: brokers.agent(folder, options.agent, MANY, "nmid", in_flight=16, **reactors),
            NATIVE: lambda: brokers.agent(folder, options.agent, NATIVE, "librpc", **reactors),
            FLOOR_ONE: lambda: brokers.floor(floor, FLOOR_ONE, 1),
            FLOOR: lambda: brokers.floor(floor, FLOOR, 0),
            FORWARDER: lambda: brokers.forwarder(folder, forwarder),
            NATS: brokers.nats,
            GEARMAND: lambda: brokers.gearmand(folder),
        }
        if original := brokers.original_program():
            self.starters[ORIGINAL] = lambda: brokers.original(folder, original, ORIGINAL)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for one in self.running.values():
            one.stop()

    def broker(self, name):
        one = self.running.get(name)
        if one is None or not one.alive():
            self.running[name] = one = self.starters[name]()
        return one

    def measure(self, name, case, seconds):
        """One run of `case` through the broker `name`; None if that is the original and it did not survive."""
        broker = self.broker(name)
        numbers = [case.callers, case.workers, case.payload, case.window, seconds]
        command = [self.load, "call", broker.protocol, broker.address, *numbers]
        try:
            with (brokers.on_one_core(broker, case.pinned()),
                  brokers.Workers(self.load, broker.protocol, broker.address, case.workers)):
                before = broker.cpu_seconds()
                done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
                if done.returncode != 0:
                    raise brokers.Died(done.stderr.strip())
                result = json.loads(done.stdout)
                result["cpu_us"] = (broker.cpu_seconds() - before) * 1e6 / max(result["right"], 1)
                return result
        except brokers.Died as died:
            if name != ORIGINAL:
                sys.exit(f"{name}, {case}: {died}")
            broker.stop()
            return None


def judge(verdicts, case, results):
    verdicts.judge(str(case), results, case.goals())
    # The latency of answers means something only where they are the right ones.
    if middle(results, ORIGINAL, "rate") and not faults(results, ORIGINAL):
        verdicts.judge(str(case), results, [Goal("p99_us", MANY, ORIGINAL, below=1)])
    for name in results:
        if name in (ONE, MANY, NATIVE):
            verdicts.demand_right_answers(str(case), results, name)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--agent", default=brokers.default_agent(), help="the agent (a release build)")
    parser.add_argument("--rounds", type=int, default=13)
    parser.add_argument("--seconds", type=float, default=0.7, help="length of one run")
    parser.add_argument("--reactors", type=int, default=0, help="max_threads of the agent; 0: its default")
    parser.add_argument("--only", default="", metavar="TEXT", help="only the cases whose line contains this")
    parser.add_argument("--quick", action="store_true", help="one short round, to see whether everything runs")
    parser.add_argument("--json", metavar="FILE", help="write all results there")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.seconds = 1, 0.2
    if not Path(options.agent).exists():
        sys.exit(f"{options.agent}: not there; build it with cargo build --release -p msf-agent")
    verdicts, everything = Verdicts(), []
    with tempfile.TemporaryDirectory(prefix="msf-broker-") as folder, Field(Path(folder), options) as field:
        for case in cases():
            if options.only not in str(case):
                continue
            names = [name for name in case.names if name in field.starters]
            results = interleaved(names, lambda name: field.measure(name, case, options.seconds), options.rounds)
            report(case, results)
            judge(verdicts, case, results)
            everything.append({"case": vars(case), "rounds": results})
    if options.json:
        Path(options.json).write_text(json.dumps(everything, indent=1))
    print()
    return verdicts.print()


if __name__ == "__main__":
    sys.exit(main())
