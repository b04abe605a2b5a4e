"""What README.md and doc/event-loop.md promise, tried as printed: their lines are run by a shell, in a folder where `build/`
is the stage tree and in a network where every port is free; what they print is what the pages say; and the links of every
page lead somewhere."""

import ctypes
import fcntl
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "script"))

from builder import stage, target                       # noqa: E402

README = (ROOT / "README.md").read_text()
EVENT_LOOP = (ROOT / "doc/event-loop.md").read_text()
TRIPLE = "x86_64-unknown-linux-gnu"     # the one README names
FUNCTION = README[README.index("## A function, and curl"):README.index("## The agent in operation")]
LIMIT = 30                              # seconds
CLONE_NEWUSER, CLONE_NEWNET, SIOCSIFFLAGS, IFF_UP = 0x10000000, 0x40000000, 0x8914, 1


def tree():
    """The stage tree under test."""
    return stage.Stage(target.named(None))


class Text(unittest.TestCase):
    def test_every_link_leads_to_a_file_and_a_heading(self):
        for page in (ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "doc").rglob("*.md"))):
            for link, heading in re.findall(r"\]\(([^)#]*)#?([^)]*)\)", page.read_text()):
                if "://" in link:
                    continue
                to = page.parent / link if link else page
                self.assertTrue(to.exists(), f"{page.relative_to(ROOT)}: {link}")
                if heading:
                    self.assertIn(heading, headings(to), f"{page.relative_to(ROOT)}: {link}#{heading}")

    def test_the_service_has_twenty_lines_at_most(self):
        self.assertLessEqual(len(blocks(README, "c")[0].splitlines()), 20)

    def test_there_are_two_commands(self):
        self.assertEqual(["./build.py demo", "./build.py test"], re.findall(r"^    (\./build\.py \w+)", README, re.M))


@unittest.skipUnless(tree().stamp.exists(), "no stage tree; run ./build.py first")
class Printed(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="msf-readme-")
        self.addCleanup(folder.cleanup)
        self.base = Path(folder.name)
        (self.base / "build").mkdir()
        (self.base / "build" / TRIPLE).symlink_to(tree().root)
        self.env = {name: value for name, value in os.environ.items() if not name.startswith(("MSF_", "LD_"))}
        self.env |= {"MSF_RUN_DIR": str(self.base / "run"), "MSF_LOG_DIR": str(self.base / "log")}
        for name, source in zip(("service.c", "caller.c", "worker.c"), blocks(README, "c")):
            (self.base / name).write_text(source)
        (self.base / "loop.c").write_text(blocks(EVENT_LOOP, "c")[0])

    def test_the_service_is_built_started_called_and_stopped_as_printed(self):
        status, said, complaints = self.shell(*commands("S=$PWD"), *commands("gcc caller.c"), "echo $!", "wait")
        *greeting, answer, pid = said.splitlines()
        self.assertEqual((0, f"hello from {pid}"), (status, answer), complaints)
        self.assertTrue(all(line.startswith("msf_agent ") for line in greeting), greeting)
        self.assertEqual([], [path for path in (self.base / "run").glob("*") if path.suffix in (".pid", ".sock")])

    def test_the_function_is_built_offered_and_called_as_printed(self):
        self.addCleanup(self.kill_agent)
        status, said, complaints = self.shell(*commands("S=$PWD", FUNCTION))
        listed, page, *others, counted = said.splitlines()
        self.assertEqual(0, status, complaints)
        self.assertRegex(listed, r"^ToUpper +shouter ")
        self.assertIn(f"curl prints `{page}`, the other two `{others[0]}`", FUNCTION)
        self.assertEqual(others[:1] * 2, others)
        self.assertEqual('msf_agent_function_jobs_total{function="ToUpper"} 3', counted)

    def test_the_service_is_a_function_as_printed(self):
        curl = re.search(r"`(curl --json [^`]*MOBILE[^`]*)`", FUNCTION)[1]
        build = [line for line in (*commands("S=$PWD"), *commands("gcc caller.c")) if line not in ("./caller", "kill %1 %2")]
        status, said, complaints = self.shell(*build, "./caller >caller.out", f"{curl} --silent", "kill %1 %2", "wait")
        self.assertEqual(0, status, complaints)
        hello = (self.base / "caller.out").read_text().strip()
        self.assertIn(f'{{"code":0,"msg":"ok","data":"{hello}', said)

    def test_an_operators_words_work_as_printed(self):
        self.addCleanup(self.kill_agent)
        status, said, complaints = self.shell(*commands("S=$PWD")[:1], *commands("$S/bin/msf_agent -c"))
        self.assertEqual((0, ""), (status, complaints))
        for seen in ("http_port=6809", "no functions", "FUNCTION"):
            self.assertIn(seen, said)

    def test_without_an_agent_both_programs_say_what_is_printed(self):
        self.env["MSF_AGENT_WAIT_MS"] = "100"
        sentence = "client_agent_init: No such file or directory"
        self.assertIn(f"`{sentence}`", README)
        build = [line for line in (*commands("S=$PWD"), *commands("gcc caller.c")) if not line.endswith("&")]
        status, _, complaints = self.shell(*build[:-2], "./service || ./caller")
        self.assertEqual((1, [sentence] * 2), (status, complaints.splitlines()))

    def test_the_printed_programs_compile_without_a_warning(self):
        for source in ("service.c", "caller.c", "worker.c", "loop.c"):
            done = subprocess.run(["gcc", "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", "-I", tree().include,
                                   source], cwd=self.base, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            self.assertEqual(0, done.returncode, done.stdout)

    def test_the_event_loop_is_built_and_prints_what_the_page_says(self):
        status, said, complaints = self.shell(commands("S=$PWD")[0], *blocks(EVENT_LOOP, "sh")[0].splitlines(), "./loop")
        self.assertEqual((0, blocks(EVENT_LOOP, "text")[0]), (status, said), complaints)

    def kill_agent(self):
        """One in the background is not ours any more when a line before its end has failed."""
        subprocess.run([tree().bin / "msf_agent", "-k", "kill"], env=self.env, stderr=subprocess.DEVNULL)

    def shell(self, *lines):
        """Runs the lines as somebody would type them: exit status, stdout, stderr."""
        script = "set -e\n" + "\n".join(lines) + "\n"
        try:
            child = subprocess.Popen(["bash", "-c", script], cwd=self.base, env=self.env, text=True, start_new_session=True,
                                     preexec_fn=enter_a_network, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                     stderr=subprocess.PIPE)
        except subprocess.SubprocessError:
            self.skipTest("this kernel gives us no network of our own, and the printed ports may be taken here")
        try:
            said, complaints = child.communicate(timeout=LIMIT)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            said, complaints = child.communicate()
            self.fail(f"not done after {LIMIT} s:\n{script}\n{said}{complaints}")
        return child.returncode, said, complaints


def enter_a_network():
    """A network of this process's own, in which there is nothing but the loopback."""
    uid, gid = os.getuid(), os.getgid()
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET | (CLONE_NEWUSER if uid else 0)) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    if uid:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")
        Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")
    with socket.socket() as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP))


def blocks(page, language):
    """The fenced blocks of a language."""
    return [body for tongue, body in re.findall(r"^```(\w*)\n(.*?)^```$", page, re.M | re.S) if tongue == language]


def commands(first, page=README):
    """The lines of the indented block that begins with `first`."""
    found = re.search(rf"^    {re.escape(first)}.*\n(?:    .*\n)*", page, re.M)
    return [line.strip() for line in found[0].splitlines()]


def headings(page):
    """As GitHub names them in links."""
    return [re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in re.findall(r"^#+ (.+)$", page.read_text(), re.M)]


if __name__ == "__main__":
    unittest.main()
