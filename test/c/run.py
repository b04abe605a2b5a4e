#!/usr/bin/env python3
"""Compiles the C programs of test/c against include/ and the staged libraries, and runs them.

  run.py [--stage DIR] [PATTERN...]       natively, under ASAN and UBSAN (DIR, or MSF_STAGE: the tree build.py made)
  run.py --target armv7|aarch64 ...       with that cross compiler, under qemu-user, without sanitizers
  run.py --cc CC [--qemu 'COMMAND']       with any other compiler; --plain leaves the sanitizers out

What is run:
  headers    every header alone and all together, by every compiler, standard and feature macro at hand
  seed/      the three snippets of the documentation, unmodified, each with a program around it
  *.c *.cpp  programs: exit status 0 passed, 77 skipped. One may say in comments of its own how it wants to be built,
             `/* flags: -no-pie */`: it is built and run once per such line. `/* no qemu: why */` keeps it from emulators,
             `/* alone: why */` has it run when nothing else does. The others run at once, one per processor.
  proof/     programs that are wrong on purpose: they prove that the sanitizers are in

A program runs in a folder of its own with MSF_RUN_DIR and MSF_LOG_DIR inside it. It finds libraries made of plugin/NAME.c
as $MSF_TEST_PLUGINS/libNAME.so, and the stage tree in MSF_STAGE. Programs named ipc_* and
nmid_agent* get a msf_agent on MSF_AGENT_SOCK, and on 127.0.0.1, port MSF_TEST_NMID_PORT.
"""

import argparse
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
INCLUDE = ROOT / "include"

WARNINGS = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"]
# The snippets are as old as they are; these are the mistakes they must not make against our headers.
SNIPPET = [f"-Werror={name}" for name in ("implicit-function-declaration", "int-conversion", "incompatible-pointer-types")]
SANITIZERS = ["-g", "-O1", "-fno-omit-frame-pointer", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
TARGETS = {
    "armv7": ("arm-linux-gnueabihf-gcc", "qemu-arm -L /usr/arm-linux-gnueabihf"),
    "armv7-unknown-linux-gnueabihf": ("arm-linux-gnueabihf-gcc", "qemu-arm -L /usr/arm-linux-gnueabihf"),
    "aarch64": ("aarch64-linux-gnu-gcc", "qemu-aarch64 -L /usr/aarch64-linux-gnu"),
    "aarch64-unknown-linux-gnu": ("aarch64-linux-gnu-gcc", "qemu-aarch64 -L /usr/aarch64-linux-gnu"),
}
SEEDS = {
    "seed1": (["seed1_dynamic_svc.c"], ["around1.c"]),
    "seed2": (["seed2_static_modules.c"], ["around2.c"]),
    "seed3": (["seed3_event.c"], ["around3.c"]),
}
LIMIT = 60          # seconds a program may run
READY = 10          # seconds msf_agent may take to answer
SKIPPED = 77


class Tally:
    """What became of everything, in the order in which it ended."""

    def __init__(self):
        self.passed = self.failed = self.skipped = 0
        self.lock = threading.Lock()

    def line(self, verdict, title, more="", *, passed=0, failed=0, skipped=0):
        with self.lock:
            self.passed, self.failed, self.skipped = self.passed + passed, self.failed + failed, self.skipped + skipped
            print(f"{verdict:<5}{title}" + (f"\n{indented(more)}" if more else ""), flush=True)

    def passes(self, title):
        self.line("ok", title, passed=1)

    def fails(self, title, more):
        self.line("FAIL", title, more, failed=1)

    def skips(self, title, why):
        self.line("skip", f"{title}: {why}", skipped=1)

    def judge(self, title, why):
        """Passed unless there is a reason why not."""
        self.fails(title, why) if why else self.passes(title)


class Refused(Exception):
    """A compiler said no, or a program misbehaved; the text says which and how."""


class Toolbox:
    """The compiler, how to run what it makes, and the stage tree it is linked with."""

    def __init__(self, options):
        self.stage = Path(options.stage).resolve()
        cc, qemu = TARGETS.get(options.target, (options.cc, options.qemu or ""))
        self.cc = shlex.split(cc)
        self.cxx = [cxx_of(self.cc[0]), *self.cc[1:]]
        self.qemu = shlex.split(options.qemu if options.qemu is not None else qemu)
        self.sanitizers = [] if self.qemu or options.plain else SANITIZERS

    def library(self, source, output):
        self.compile(self.cc, [*WARNINGS, "-std=gnu11", "-fPIC", "-shared", source], output)

    def program(self, sources, output, flags=(), warnings=WARNINGS):
        compiler = self.cxx if any(source.suffix == ".cpp" for source in sources) else self.cc
        standard = "-std=gnu++17" if compiler is self.cxx else "-std=gnu11"
        self.compile(compiler, [*warnings, standard, *self.sanitizers, *flags, *sources], output)

    def compile(self, compiler, words, output):
        lib = self.stage / "lib"
        self.run([*compiler, f"-I{INCLUDE}", f"-I{HERE}", *words, "-o", output,
                  f"-L{lib}", f"-Wl,-rpath,{lib}", "-lipc", "-lmsf", "-lpthread", "-ldl", "-lm"])

    def objects(self, sources, folder, warnings):
        """Object files, for sources that need flags of their own."""
        made = []
        for source in sources:
            made.append(folder / f"{source.stem}.o")
            self.run([*self.cc, f"-I{INCLUDE}", "-std=gnu11", *warnings, *self.sanitizers, "-c", source, "-o", made[-1]])
        return made

    @staticmethod
    def run(command):
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
        if done.returncode != 0:
            raise Refused(f"$ {shlex.join(map(str, command))}\n{done.stderr}{done.stdout}")


class Room:
    """Where one program runs: folders of its own, and an agent if it wants one."""

    def __init__(self, tools, plugins, wants_agent):
        self.tools = tools
        self.wants_agent = wants_agent
        # Short, because a socket's path is at most 107 bytes.
        self.temporary = tempfile.TemporaryDirectory(prefix="msf-c-")
        self.folder = Path(self.temporary.name)
        # What the killed leave behind of their logs is to go with the rest.
        self.rings = tempfile.TemporaryDirectory(prefix="msf-c-", dir="/dev/shm")
        self.agent = None
        self.env = {
            **os.environ,
            "MSF_RUN_DIR": str(self.made("run")),
            "MSF_LOG_DIR": str(self.made("log")),
            "MSF_LOG_RING_DIR": self.rings.name,
            "MSF_AGENT_SOCK": str(self.folder / "agent.sock"),
            "MSF_STAGE": str(tools.stage),
            "MSF_TEST_PLUGINS": str(plugins),
            "ASAN_OPTIONS": "detect_leaks=1:abort_on_error=0:exitcode=99",
            "UBSAN_OPTIONS": "print_stacktrace=1",
        }

    def made(self, name):
        (self.folder / name).mkdir(mode=0o700)
        return self.folder / name

    def __enter__(self):
        try:
            if self.wants_agent:
                self.start_agent()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.stop_agent()
        self.temporary.cleanup()
        self.rings.cleanup()

    def start_agent(self):
        program = self.tools.stage / "bin/msf_agent"
        settings = self.folder / "msf_agent.conf"
        settings.write_text("net_enable = false\nnmid_enable = true\nnmid_port = 0\n")
        self.agent_says = (self.folder / "agent.out").open("w+")
        try:
            self.agent = subprocess.Popen([*self.tools.qemu, program, "-c", settings], env=self.env, cwd=self.folder,
                                          stdin=subprocess.DEVNULL, stdout=self.agent_says, stderr=subprocess.STDOUT)
        except OSError as why:
            self.agent_says.close()
            raise Refused(f"it needs msf_agent in the stage tree: {program}: {why.strerror}") from None
        deadline = time.monotonic() + READY
        while not answers(self.env["MSF_AGENT_SOCK"]):
            if self.agent.poll() is not None:
                raise Refused(f"msf_agent ended with {self.agent.returncode} at once\n{self.agent_said()}")
            if time.monotonic() > deadline:
                raise Refused(f"msf_agent did not listen within {READY} s\n{self.agent_said()}")
            time.sleep(0.005)
        # The first line comes once it listens everywhere.
        while (said := re.search(r"nmid \S+:(\d+)", self.agent_said())) is None:
            if time.monotonic() > deadline:
                raise Refused(f"msf_agent did not say where it listens\n{self.agent_said()}")
            time.sleep(0.005)
        self.env["MSF_TEST_NMID_PORT"] = said[1]

    def agent_said(self):
        self.agent_says.seek(0)
        return self.agent_says.read()

    def stop_agent(self):
        if self.agent is None:
            return
        if self.agent.poll() is None:
            self.agent.terminate()
            try:
                self.agent.wait(10)
            except subprocess.TimeoutExpired:
                self.agent.kill()
                self.agent.wait()
        self.agent_says.close()

    def run(self, program):
        """The exit status and what was said; 128 + signal for a program that was killed."""
        child = subprocess.Popen([*self.tools.qemu, str(program)], env=self.env, cwd=self.folder, start_new_session=True,
                                 stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        try:
            said, _ = child.communicate(timeout=LIMIT)
        except subprocess.TimeoutExpired:
            raise Refused(f"not finished after {LIMIT} s\n{self.killed(child)}") from None
        status = child.returncode if child.returncode >= 0 else 128 - child.returncode
        return status, said.decode(errors="replace")

    @staticmethod
    def killed(child):
        # Its process group, which is all it started; ASAN would not answer a mere SIGTERM.
        os.killpg(child.pid, signal.SIGKILL)
        return child.communicate()[0].decode(errors="replace")


def answers(path):
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(path) == 0


class Work:
    """What can be done at once, and what has to be done alone afterwards."""

    def __init__(self):
        self.jobs, self.alone = [], []

    def add(self, job, *arguments, alone=False):
        (self.alone if alone else self.jobs).append((job, arguments))

    def do(self):
        with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
            for done in [pool.submit(job, *arguments) for job, arguments in self.jobs]:
                done.result()
        for job, arguments in self.alone:
            job(*arguments)


def ran(tools, plugins, title, make, tally, wants_agent=False):
    """Builds with `make(path)`, runs, and writes the line."""
    try:
        with Room(tools, plugins, wants_agent) as room:
            program = room.folder / "program"
            make(program)
            status, said = room.run(program)
            if status == SKIPPED:
                tally.skips(title, said.strip().splitlines()[-1] if said.strip() else "it said so")
            else:
                agent = f"\n--- msf_agent:\n{room.agent_said()}" if room.agent else ""
                tally.judge(title, "" if status == 0 else f"exit status {status}\n{tail(said)}{agent}")
    except Refused as why:
        tally.fails(title, str(why))


def programs(tools, plugins, tally, wanted, work):
    for source in sorted([*HERE.glob("*.c"), *HERE.glob("*.cpp")]):
        if not wanted(source.stem):
            continue
        for flags in flags_of(source):
            title = " ".join([source.name, *flags])
            unfit = spoken(source, "no qemu:")
            if unfit and tools.qemu:
                tally.skips(title, unfit[0])
                continue
            if source.suffix == ".cpp" and not runs(tools.cxx[0]):
                tally.skips(title, f"no {tools.cxx[0]} here")
                continue

            def make(path, source=source, flags=flags):
                tools.program([source], path, flags)
            wants_agent = source.stem.startswith(("ipc_", "nmid_agent"))
            work.add(ran, tools, plugins, title, make, tally, wants_agent, alone=bool(spoken(source, "alone:")))


def flags_of(source):
    return [words.split() for words in spoken(source, "flags:")] or [[]]


def spoken(source, word):
    """What a program says to this runner: comments of one line that begin with `word`."""
    lines = [line.strip() for line in source.read_text().splitlines()]
    opening = f"/* {word}"
    return [line[len(opening):-len("*/")].strip() for line in lines if line.startswith(opening) and line.endswith("*/")]


def seeds(tools, plugins, tally, wanted, work):
    for name, (snippets, around) in SEEDS.items():
        if not wanted(name):
            continue

        def make(path, snippets=snippets, around=around):
            made = tools.objects([HERE / "seed" / snippet for snippet in snippets], path.parent, SNIPPET)
            tools.program([HERE / "seed" / source for source in around], path, made)
        work.add(ran, tools, plugins, f"seed/{snippets[0]}", make, tally, name == "seed3")


def proofs(tools, plugins, tally, wanted, work):
    """Programs that must be caught, or a clean run of the others means nothing."""
    for source in sorted((HERE / "proof").glob("*.c")):
        title = f"proof/{source.name} is caught"
        if not wanted(source.stem):
            continue
        if not tools.sanitizers:
            tally.skips(title, "no sanitizers in this run")
            continue
        work.add(caught, tools, plugins, title, source, tally)


def caught(tools, plugins, title, source, tally):
    expected = source.read_text().split("caught as: ", 1)[1].split("*/", 1)[0].strip()
    try:
        with Room(tools, plugins, False) as room:
            tools.program([source], room.folder / "program")
            status, said = room.run(room.folder / "program")
            tally.judge(title, "" if status != 0 and expected in said
                        else f"exit status {status}, `{expected}` was not said\n{tail(said)}")
    except Refused as why:
        tally.fails(title, str(why))


def headers(tools, tally, wanted, work):
    """Every header alone, and all of them together, parse without a warning."""
    if not wanted("headers"):
        return
    compilers = [tools.cc[0], tools.cxx[0]]
    if not tools.qemu:
        others = ["gcc", "g++", "clang", "clang++", "arm-linux-gnueabihf-gcc", "aarch64-linux-gnu-gcc"]
        compilers += [other for other in others if other not in compilers]
    for compiler in compilers:
        title = f"headers: {compiler}"
        if not runs(compiler):
            tally.skips(title, "no such compiler here")
            continue
        cxx = compiler.endswith("++")
        for standard in ("c++11", "c++17", "gnu++17") if cxx else ("c11", "gnu11", "gnu17"):
            # Compilers of C++ define _GNU_SOURCE themselves.
            for feature in ("",) if cxx else ("", "-D_GNU_SOURCE"):
                work.add(parsed, compiler, standard, feature, " ".join([title, standard, feature]).rstrip(), tally)


def parsed(compiler, standard, feature, title, tally):
    """In order, in reverse, each one alone and twice; and without any -I, as <msf/client.h> of an installed tree."""
    names = sorted(path.name for path in INCLUDE.glob("*.h"))
    suffix = ".cpp" if compiler.endswith("++") else ".c"
    command = [compiler, f"-std={standard}", *WARNINGS, *([feature] if feature else []), "-fsyntax-only"]
    orders = {"in_order": names, "in_reverse": names[::-1], **{f"twice_{name}": [name, name] for name in names}}
    with tempfile.TemporaryDirectory(prefix="msf-c-") as folder:
        # A compiler reads as many files as it is given; starting it is what takes long.
        flat = [including(Path(folder, order + suffix), included) for order, included in orders.items()]
        bare = including(Path(folder, "without_a_path" + suffix), [INCLUDE / "client.h"])
        wrong = [refused([*command, f"-I{INCLUDE}", *flat]), refused([*command, bare])]
    tally.judge(title, "\n".join(filter(None, wrong)))


def including(path, headers):
    path.write_text("".join(f'#include "{header}"\n' for header in headers))
    return path


def refused(command):
    """What the compiler says against it."""
    try:
        Toolbox.run(command)
    except Refused as why:
        return str(why)
    return ""


def cxx_of(cc):
    """The C++ compiler beside a C compiler."""
    if cc.endswith("gcc"):
        return cc.removesuffix("gcc") + "g++"
    return cc + "++" if cc.endswith("clang") else "g++"


def runs(compiler):
    try:
        return subprocess.run([compiler, "--version"], capture_output=True).returncode == 0
    except OSError:
        return False


def made_plugins(tools, folder, tally):
    work = Work()
    for source in sorted((HERE / "plugin").glob("*.c")):
        work.add(made_plugin, tools, source, folder / f"lib{source.stem}.so", tally)
    work.do()


def made_plugin(tools, source, output, tally):
    try:
        tools.library(source, output)
    except Refused as why:
        tally.fails(f"plugin/{source.name}", str(why))


def tail(text, lines=60):
    return "\n".join(text.splitlines()[-lines:])


def indented(text):
    return "\n".join(f"       {line}" for line in text.rstrip().splitlines())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--stage", default=os.environ.get("MSF_STAGE"), help="the stage tree; default MSF_STAGE")
    parser.add_argument("--cc", default="gcc", help="compiler (default gcc)")
    parser.add_argument("--target", choices=TARGETS, help="cross compiler and qemu-user for that machine")
    parser.add_argument("--qemu", help="what to put before a program to run it")
    parser.add_argument("--plain", action="store_true", help="without sanitizers")
    parser.add_argument("pattern", nargs="*", help="run only what has one of these in its name")
    options = parser.parse_args()
    if not options.stage:
        parser.error("no --stage DIR and no MSF_STAGE: which tree is to be tested?")
    tools, tally = Toolbox(options), Tally()

    def wanted(name):
        return not options.pattern or any(pattern in name for pattern in options.pattern)

    with tempfile.TemporaryDirectory(prefix="msf-c-") as plugins:
        made_plugins(tools, Path(plugins), tally)
        work = Work()
        headers(tools, tally, wanted, work)
        proofs(tools, plugins, tally, wanted, work)
        seeds(tools, plugins, tally, wanted, work)
        programs(tools, plugins, tally, wanted, work)
        work.do()
    print(f"{tally.passed} passed, {tally.failed} failed, {tally.skipped} skipped")
    return 1 if tally.failed else 0


if __name__ == "__main__":
    sys.exit(main())
