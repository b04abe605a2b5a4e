#!/usr/bin/env python3
"""The main job, seen once from end to end, in run directories of its own.

usage: script/demo.py STAGE        (`./build.py demo` builds the stage tree and calls this)

msf_daemon starts msf_agent and `msf_shell -c msf_agent_svc.json`; the shell loads two plugins into one process, and the
second calls the first through the agent every second. Then the agent is killed with -9, and calls are answered again
within a second. Then everything stops, and nothing is left behind. What follows is in demo_functions.py: functions
called by name, over HTTP, by an operator, and in C.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from demo_functions import Functions
from household import Failure, Home, Log, children_are_ours, end_descendants, leftovers, say, wait_until

HERE = Path(__file__).resolve().parent
PLUGINS = ("msf_agent1", "msf_agent2")
CALLS_WANTED = 3
RECOVERY_LIMIT = 1.0        # seconds between the kill and the next answered call
ANSWERED = re.compile(r"\[AGENT2\].* call (\d+) answered: .*\[pid:(\d+),")


def main(arguments):
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    stage = Path(arguments[0]).resolve()
    children_are_ours()
    folder = Path(tempfile.mkdtemp(prefix="msf-demo-"))
    for half in (House(stage, folder / "house"), Functions(stage, folder / "functions")):
        try:
            half.run()
        except Failure as failure:
            half.give_up()
            end_descendants()
            print(f"\ndemo FAILED: {failure}\nlogs are kept in {half.logs}", file=sys.stderr, flush=True)
            return 1
        except BaseException:
            half.give_up()
            end_descendants()
            raise
    shutil.rmtree(folder)
    print("\ndemo passed: started, called, killed, recovered, stopped, nothing left behind", flush=True)
    return 0


class House(Home):
    """Daemon, shell and agent."""

    def __init__(self, stage, folder):
        super().__init__(stage, folder)
        self.daemon = None
        self.log = None

    def run(self):
        self.write_configuration()
        self.start()
        shell = self.show_plugins()
        last = self.show_calls(CALLS_WANTED)
        self.kill_agent(last)
        self.show_same_shell(shell)
        self.stop()

    def write_configuration(self):
        self.runtime.mkdir(mode=0o700, parents=True)
        self.logs.mkdir()
        # The shell's file is the one every user of the original knows, byte for byte.
        services = self.folder / "msf_agent_svc.json"
        shutil.copyfile(HERE / "config/msf_agent_svc.json", services)
        agent = self.folder / "msf_agent.conf"
        # The unix socket is enough here, and so the demo runs beside a real agent.
        agent.write_text("net_enable=false\n")
        processes = [
            {"proc_idx": 0, "proc_name": "msf_agent", "proc_path": str(self.bin / "msf_agent"), "proc_conf": str(agent)},
            {"proc_idx": 1, "proc_name": "msf_shell", "proc_path": str(self.bin / "msf_shell"), "proc_conf": str(services)},
        ]
        daemon = {"msf_author": "libmsf", "msf_version": "demo", "msf_desc": "agent and shell", "msf_procs": processes}
        (self.folder / "msf_daemon.json").write_text(json.dumps(daemon, indent=4) + "\n")

    def start(self):
        say(f"msf_daemon -c {self.folder / 'msf_daemon.json'}")
        self.daemon = subprocess.Popen([self.bin / "msf_daemon", "-c", self.folder / "msf_daemon.json"],
                                       cwd=self.folder, env=self.env, stdin=subprocess.DEVNULL)
        path = self.logs / "msf_shell.msf_agent.log"
        wait_until(path.exists, 5, f"msf_shell has not opened {path}", self.daemon)
        self.log = Log(path)

    def show_plugins(self):
        """Waits for both plugins' init and start; they must be records of one process. Returns its pid."""
        pids = set()
        for step in ("init", "start"):
            for plugin in PLUGINS:
                wanted = re.compile(rf"service {plugin}: {step}\[pid:(\d+),")
                found = self.log.wait(wanted, 8, f"no record of the {step} of {plugin} in {self.log.path}", self.daemon)
                pids.add(int(found[1]))
        if len(pids) != 1:
            raise Failure(f"the plugins should share one process, their records name {sorted(pids)}")
        pid = pids.pop()
        say(f"both plugins are initialised and started in one process, pid {pid}")
        return pid

    def show_calls(self, wanted):
        """Waits for answered calls; returns when the last was seen."""
        for number in range(1, wanted + 1):
            self.log.wait(ANSWERED, 5, f"only {number - 1} of {wanted} calls were answered", self.daemon)
        seen = time.monotonic()
        say(f"{wanted} calls from msf_agent2 to msf_agent1 answered")
        return seen

    def kill_agent(self, last_answer):
        # Shortly before the next call is due: the second it waits by itself must not hide how long recovery takes.
        time.sleep(max(0.0, last_answer + 0.9 - time.monotonic()))
        before = self.processes()["msf_agent"]
        self.log.skip()
        os.kill(before, signal.SIGKILL)
        killed = time.monotonic()
        say(f"kill -9 {before} (msf_agent)")
        self.log.wait(ANSWERED, 10, "no call was answered after the agent was killed", self.daemon)
        took = time.monotonic() - killed
        after = self.processes()["msf_agent"]
        if after == before:
            raise Failure(f"msf_daemon still names pid {before} for msf_agent, which was killed")
        if took > RECOVERY_LIMIT:
            raise Failure(f"calls were answered again only after {took * 1000:.0f} ms, "
                          f"more than {RECOVERY_LIMIT * 1000:.0f}")
        say(f"answered again {took * 1000:.0f} ms after the kill; msf_agent is now pid {after}")

    def show_same_shell(self, shell):
        now = self.processes()["msf_shell"]
        if now != shell:
            raise Failure(f"the shell was pid {shell} and is pid {now}: it did not survive the agent")

    def processes(self):
        """name -> pid, as `msf_daemon status --json` tells it."""
        done = subprocess.run([self.bin / "msf_daemon", "status", "--json"], env=self.env, cwd=self.folder,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=5)
        try:
            status = json.loads(done.stdout)
            found = {process["name"]: process["pid"] for process in status["processes"] if process["pid"]}
            return {name: found[name] for name in ("msf_agent", "msf_shell")}
        except (ValueError, KeyError, TypeError) as error:
            raise Failure(f"`msf_daemon status --json` (exit status {done.returncode}) should list msf_agent and "
                          f"msf_shell with their pids: {error!r} in {done.stdout.strip()!r}") from error

    def stop(self):
        say(f"kill -TERM {self.daemon.pid} (msf_daemon)")
        self.daemon.terminate()
        try:
            status = self.daemon.wait(10)
        except subprocess.TimeoutExpired as error:
            raise Failure("msf_daemon has not stopped 10 s after SIGTERM") from error
        self.log.drain()
        if status != 0:
            raise Failure(f"msf_daemon should end with exit status 0, not {status}")
        left = leftovers(self.folder, self.runtime, self.memory)
        if left:
            raise Failure("left behind: " + "; ".join(left))

    def give_up(self):
        """Lets the daemon end what it has started; what is left then, the household ends."""
        if self.log:
            self.log.drain()
        if self.daemon and self.daemon.poll() is None:
            self.daemon.terminate()
            try:
                self.daemon.wait(5)
            except subprocess.TimeoutExpired:
                pass


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
