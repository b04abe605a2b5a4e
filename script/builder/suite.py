"""The test suite: a list of steps, each another program, run in order and counted.

Steps that want nothing but processors, compilers above all, run behind the others: in order too, but at low priority, in
what time those leave that wait for programs. A step that is `alone` begins when nothing is behind it any more.

A step's whole output goes to build/log/<step>.log; the terminal sees one line per step, and the log's end when it
fails. What a step counted itself is read from its output (cargo's, unittest's, or `N passed, N failed`); a step that
counts nothing is one test.
"""

import os
import re
import shlex
import signal
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field

from .command import ROOT, described, merged

LOG = ROOT / "build/log"
TAIL = 80
LOW = ("nice", "-n", "10")
SPEAKING = threading.Lock()


@dataclass
class Count:
    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def __add__(self, other):
        return Count(self.passed + other.passed, self.failed + other.failed, self.skipped + other.skipped)

    def __str__(self):
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"


@dataclass
class Step:
    name: str
    command: list
    env: dict = field(default_factory=dict)
    limit: int = 600        # seconds
    behind: bool = False
    alone: bool = False

    def run(self):
        LOG.mkdir(parents=True, exist_ok=True)
        log = LOG / f"{self.name}.log"
        command = [str(word) for word in (*(LOW if self.behind else ()), *self.command)]
        began = time.monotonic()
        with log.open("w") as out:
            out.write(f"$ {shlex.join(command)}\n")
            out.flush()
            status = self.wait(command, out)
        took = time.monotonic() - began
        text = log.read_text(errors="replace")
        count = counted(text, status)
        failed = status != 0 or count.failed
        lines = [f"  {self.name:<12}{'FAILED' if failed else 'ok':<8}{count}   {took:.1f} s{', behind' if self.behind else ''}"]
        if failed:
            lines += [f"--- {log.relative_to(ROOT)}: {ending(status, self.limit)}; its end:", *text.splitlines()[-TAIL:],
                      f"--- end of {self.name}"]
        with SPEAKING:
            print("\n".join(lines), flush=True)
        return count

    def wait(self, command, out):
        """The exit status; None when the limit was reached. A step is a process group, so nothing outlives it."""
        try:
            child = subprocess.Popen(command, cwd=ROOT, env=merged(self.env), stdin=subprocess.DEVNULL,
                                     stdout=out, stderr=subprocess.STDOUT, start_new_session=True)
        except OSError as error:
            out.write(f"cannot run {command[0]}: {error.strerror}\n")
            return 127
        try:
            return child.wait(self.limit)
        except subprocess.TimeoutExpired:
            return None
        finally:
            if child.poll() is None:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()


def run_all(steps):
    """Runs every step, also after a failure; prints the total as a line of its own."""
    began, counts = time.monotonic(), {}
    with ThreadPoolExecutor(1) as background:
        behind = {step.name: background.submit(step.run) for step in steps if step.behind}
        try:
            for step in steps:
                if step.alone:
                    wait(behind.values())
                if not step.behind:
                    counts[step.name] = step.run()
        except KeyboardInterrupt:
            background.shutdown(wait=False, cancel_futures=True)
            raise
    counts |= {name: step.result() for name, step in behind.items()}
    broken = [name for name, count in counts.items() if count.failed]
    print(f"\n{len(steps)} steps in {time.monotonic() - began:.0f} s"
          + (f"; failed: {', '.join(broken)}" if broken else ""))
    print(sum(counts.values(), Count()), flush=True)
    return 1 if broken else 0


def counted(text, status):
    count = sum((reader(text) for reader in (cargo_count, unittest_count, own_count)), Count())
    if status != 0 and not count.failed:
        count.failed = 1
    if not (count.passed or count.failed or count.skipped):
        count.passed = 1
    return count


def cargo_count(text):
    found = re.findall(r"^test result: .*?(\d+) passed; (\d+) failed; (\d+) ignored", text, re.M)
    return sum((Count(*map(int, numbers)) for numbers in found), Count())


def unittest_count(text):
    total = Count()
    for ran, verdict in re.findall(r"^Ran (\d+) tests? in .*\n\n((?:OK|FAILED|NO TESTS RAN).*)$", text, re.M):
        named = {word: int(number) for word, number in re.findall(r"(\w+)=(\d+)", verdict)}
        failed = named.get("failures", 0) + named.get("errors", 0)
        skipped = named.get("skipped", 0)
        total += Count(int(ran) - failed - skipped, failed, skipped)
    return total


def own_count(text):
    """The last `N passed, N failed[, N skipped]` a script printed."""
    found = re.findall(r"^\s*(\d+) passed, (\d+) failed(?:, (\d+) skipped)?\s*$", text, re.M)
    return Count(*(int(number or 0) for number in found[-1])) if found else Count()


def ending(status, limit):
    return f"not finished after {limit} s" if status is None else described(status)
