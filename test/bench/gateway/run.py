#!/usr/bin/env python3
"""HTTP through to a worker: msf_agent's gateway beside gearmand's HTTP plugin and beside a bare epoll responder.

wrk keeps 16 or 64 connections busy with POSTs of 128 bytes, each answer is compared with what was asked (post.lua). Behind
the agent and behind gearmand are four workers in C; the agent may have 16 jobs at each of them. The responder has nobody
behind it. gearmand's plugin closes every connection after its answer, and wrk opens the next: that is its way of HTTP.
Exits with 1 when a goal is missed.
"""
import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
import brokers  # noqa: E402
from rounds import Goal, Verdicts, interleaved, report  # noqa: E402

AGENT, GEARMAND, FLOOR = "msf_agent", "gearmand", "bare responder"
WORKERS, BODY = 4, 128
# How an answer begins; the agent's tells what the worker's result is, the others' are the body.
ANSWERS = {AGENT: '{"code":0,"msg":"ok","data":"', GEARMAND: '{"p":"', FLOOR: '{"p":"'}
GOALS = [Goal("rate", AGENT, GEARMAND, least=2.5), Goal("rate", AGENT, FLOOR, least=0.3),
         Goal("p99_us", AGENT, GEARMAND), Goal("p99_us", AGENT, FLOOR)]


class Field:
    """The three, with the workers of those that have any, and where each takes a call of Echo."""

    def __init__(self, folder, options):
        load = brokers.compile_c(folder, "load", *brokers.LOAD)
        floor = brokers.compile_c(folder, "http_floor", HERE / "http_floor.c")
        self.brokers, self.urls, self.workers = {}, {}, []
        try:
            agent = brokers.agent(folder, options.agent, AGENT, "http", nmid_enable="true", nmid_port=0, in_flight=16)
            self.enter(agent, f"http://127.0.0.1:{agent.address}/call/Echo", load, "nmid", agent.ports["nmid"])
            port = brokers.free_port()
            gearmand = brokers.gearmand(folder, "-r", "http", f"--http-port={port}").wait_until(port)
            self.enter(gearmand, f"http://127.0.0.1:{port}/Echo", load, "gearman", gearmand.address)
            port = brokers.free_port()
            responder = brokers.Broker(FLOOR, "http", port, [floor, port])
            self.enter(responder, f"http://127.0.0.1:{port}/Echo")
            responder.wait_until(port)
        except BaseException:
            self.__exit__()
            raise

    def enter(self, broker, url, load=None, protocol=None, address=None):
        self.brokers[broker.name], self.urls[broker.name] = broker, url
        if load:
            self.workers.append(brokers.Workers(load, protocol, address, WORKERS).__enter__())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for workers in self.workers:
            workers.__exit__()
        for one in self.brokers.values():
            one.stop()

    def measure(self, name, connections, seconds):
        broker = self.brokers[name]
        before = broker.cpu_seconds()
        # -d takes whole seconds.
        command = [brokers.program("wrk"), "-t1", f"-c{connections}", f"-d{seconds}s", "-s", HERE / "post.lua",
                   self.urls[name], "--", str(BODY), ANSWERS[name]]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
        if done.returncode != 0 or not broker.alive():
            sys.exit(f"wrk failed at {name}: {done.stdout}")
        result = json.loads(done.stdout.splitlines()[-1])
        result["cpu_us"] = (broker.cpu_seconds() - before) * 1e6 / max(result["right"], 1)
        return result


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--agent", default=brokers.default_agent(), help="the agent (a release build)")
    parser.add_argument("--rounds", type=int, default=13)
    parser.add_argument("--seconds", type=int, default=1, help="length of one run")
    parser.add_argument("--quick", action="store_true", help="one short round, to see whether everything runs")
    parser.add_argument("--json", metavar="FILE", help="write all results there")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.seconds = 1, 1
    if not Path(options.agent).exists():
        sys.exit(f"{options.agent}: not there; build it with cargo build --release -p msf-agent")
    verdicts, everything = Verdicts(), []
    with tempfile.TemporaryDirectory(prefix="msf-gateway-") as folder, Field(Path(folder), options) as field:
        for connections in (16, 64):
            case = f"{connections} connections"
            results = interleaved(list(field.brokers), lambda name: field.measure(name, connections, options.seconds),
                                  options.rounds)
            report(case, results)
            verdicts.judge(case, results, GOALS)
            verdicts.demand_right_answers(case, results, AGENT)
            everything.append({"case": case, "rounds": results})
    if options.json:
        Path(options.json).write_text(json.dumps(everything, indent=1))
    print()
    return verdicts.print()


if __name__ == "__main__":
    sys.exit(main())
