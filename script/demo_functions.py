"""Functions called by name: the second half of the demo.

msf_agent serves nmid, HTTP and the metrics on ports that the kernel chooses. A worker in C and one in Rust both offer
ToUpper; it is called over HTTP with curl, by an operator with `msf_agent call`, and by a client in C, until both workers
have answered. Then one of them is killed with -9, and each caller is answered again. Then everything stops.
"""

import json
import re
import shlex
import signal
import subprocess

from household import Failure, Home, Log, leftovers, say, wait_until

DOORS = ("nmid", "http", "metrics")
SETTINGS = "net_enable=false\n" + "".join(f"{door}_enable=true\n{door}_port=0\n" for door in DOORS)
GREETING = re.compile(r"nmid (\S+:\d+), HTTP (\S+:\d+), metrics (\S+:\d+);")
WORKERS = ("nmid_toupper", "nmid_toupper_rust")     # in C, in Rust
ROUNDS_MOST = 20            # chance decides between idle workers: 60 calls for one of two do not happen
LIMIT = 5                   # seconds
CURL = ("curl", "--silent", "--show-error", "--fail", "--max-time", LIMIT)
AS_JSON = ("-H", "Content-Type: application/json")


class Functions(Home):
    def __init__(self, stage, folder):
        super().__init__(stage, folder)
        self.running = {}       # name -> process, in the order of their start
        self.outputs = {}       # name -> log

    def run(self):
        self.runtime.mkdir(mode=0o700, parents=True)
        self.logs.mkdir()
        self.nmid, self.http, self.metrics = self.start_agent()
        self.start_workers()
        self.call_until_both_answer()
        self.kill_worker(WORKERS[0])
        self.call_each_way(ROUNDS_MOST, shown=True)
        self.show_metrics()
        self.stop()

    def start_agent(self):
        conf = self.folder / "msf_agent.conf"
        conf.write_text(SETTINGS)
        self.start("msf_agent", "-c", conf)
        greeting = self.outputs["msf_agent"].wait(GREETING, LIMIT, "msf_agent has not said where it listens",
                                                  self.running["msf_agent"])
        say("msf_agent serves nmid, HTTP and the metrics")
        return greeting.groups()

    def start_workers(self):
        for name in WORKERS:
            self.start(name, self.nmid)
        wait_until(lambda: len(self.jobs()) == len(WORKERS), LIMIT, "ToUpper has not got two workers")
        say("a worker in C and a worker in Rust offer ToUpper")

    def call_until_both_answer(self):
        self.call_each_way(0, shown=True)
        for number in range(1, ROUNDS_MOST):
            jobs = self.jobs()
            if len(jobs) == len(WORKERS) and all(jobs.values()):
                done = ", ".join(f"{name} {count}" for name, count in sorted(jobs.items()))
                return say(f"both workers have answered: {done}")
            self.call_each_way(number)
        raise Failure(f"after {ROUNDS_MOST} rounds of calls not both workers had one: {self.jobs()}")

    def call_each_way(self, number, shown=False):
        """ToUpper as a web page, an operator, and a program in C call it."""
        name = f"nmid{number}"
        params = json.dumps({"name": name})
        page = self.said(*CURL, *AS_JSON, "-d", params, f"http://{self.http}/call/ToUpper")
        answers = {
            "curl": (page, f'"data":"{name.upper()}"' in page),
            "msf_agent call": self.told(name, self.bin / "msf_agent", "call", "ToUpper", params),
            "nmid_call": self.told(name, self.bin / "nmid_call", "-s", self.nmid, "ToUpper", f"name={name}"),
        }
        for caller, (answer, right) in answers.items():
            if not right:
                raise Failure(f"{caller} should have been answered {name.upper()}, not {answer!r}")
            if shown:
                say(f"{caller}: ToUpper of {name} is {answer}")

    def told(self, name, *command):
        answer = self.said(*command)
        return answer, answer == name.upper()

    def kill_worker(self, name):
        worker = self.running.pop(name)
        worker.send_signal(signal.SIGKILL)
        worker.wait(LIMIT)
        say(f"kill -9 {worker.pid} ({name})")
        # A call that is with a worker when it dies ends with an error, and rightly: here the next one is shown.
        wait_until(lambda: name not in self.jobs(), LIMIT, f"msf_agent still lists {name}")

    def show_metrics(self):
        lines = self.said(*CURL, f"http://{self.metrics}/metrics").splitlines()
        found = [line for line in lines if line.startswith("msf_agent_function_jobs_total{") and '"ToUpper"' in line]
        if len(found) != 1:
            raise Failure(f"/metrics should count ToUpper's jobs once, not {len(found)} times in {len(lines)} lines")
        say(f"/metrics has {len(lines)} lines; one of them: {found[0]}")

    def stop(self):
        for name in reversed(self.running):
            process = self.running[name]
            if name == "nmid_toupper_rust":
                process.stdin.close()       # it ends when its input does
            else:
                process.terminate()
            wait_until(lambda process=process: process.poll() is not None, LIMIT, f"{name} has not ended")
            self.outputs[name].drain()
            if process.returncode != 0:
                raise Failure(f"{name} should end with exit status 0, not {process.returncode}")
        left = leftovers(self.folder, self.runtime, self.memory)
        if left:
            raise Failure("left behind: " + "; ".join(left))
        say("worker and agent have ended")

    def start(self, name, *arguments):
        path = self.folder / f"{name}.out"
        with path.open("w") as out:
            self.running[name] = subprocess.Popen([self.bin / name, *arguments], cwd=self.folder, env=self.env,
                                                  stdin=subprocess.PIPE, stdout=out, stderr=subprocess.STDOUT)
        self.outputs[name] = Log(path)

    def jobs(self):
        """worker -> how many jobs of ToUpper it was given, as the agent counts them."""
        told = json.loads(self.said(self.bin / "msf_agent", "list", "--json"))
        return {worker["name"]: worker["jobs"] for function in told["functions"] if function["function"] == "ToUpper"
                for worker in function["workers"]}

    def said(self, *command):
        """What a command prints; it must succeed."""
        command = [str(word) for word in command]
        try:
            done = subprocess.run(command, cwd=self.folder, env=self.env, text=True, timeout=3 * LIMIT,
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        except subprocess.TimeoutExpired as error:
            raise Failure(f"`{shlex.join(command)}` has not ended") from error
        if done.returncode != 0:
            raise Failure(f"`{shlex.join(command)}` ended with {done.returncode}: {done.stderr.strip()}")
        return done.stdout.strip()

    def give_up(self):
        """Shows what the programs said; the household ends them."""
        for log in self.outputs.values():
            log.drain()
