"""Running other programs: every command is printed, and a failure is one clear sentence."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


class BuildError(Exception):
    """Something the person at the keyboard can act on; printed without a traceback."""


def say(text):
    print(f"build.py: {text}", flush=True)


def run(command, *, env=None, cwd=ROOT, quiet=False):
    """Runs `command` with the terminal's own stdout; fails with the command line and its status."""
    command = [str(word) for word in command]
    if not quiet:
        say(shlex.join(command))
    try:
        status = subprocess.run(command, env=merged(env), cwd=cwd).returncode
    except OSError as error:
        raise BuildError(f"cannot run {command[0]}: {error.strerror}") from error
    if status != 0:
        raise BuildError(f"{shlex.join(command)}: {described(status)}")


def output(command, *, env=None, cwd=ROOT):
    """What `command` prints on stdout, or None when it cannot run or fails."""
    try:
        done = subprocess.run([str(word) for word in command], env=merged(env), cwd=cwd,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    except OSError:
        return None
    return done.stdout if done.returncode == 0 else None


def merged(env):
    return {**os.environ, **env} if env else None


def described(status):
    return f"killed by signal {-status}" if status < 0 else f"exit status {status}"


def fail(error):
    print(f"build.py: {error}", file=sys.stderr, flush=True)
    return 1
