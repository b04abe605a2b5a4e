"""Runs the unittest classes of a folder, several at once: most tests here wait for programs most of the time.

Every class is a process of its own, whose output is printed as one block when it ends; those that failed come last. A class
that must not have company says why: `ALONE = "it measures ..."`; it runs when the others are through.
"""

import os
import subprocess
import sys
import tempfile
import time
import unittest
from concurrent.futures import ThreadPoolExecutor, as_completed

LIMIT = 500         # seconds a class may take


def run_classes(folder, pattern="test_*.py", wanted=lambda name: True, jobs=None, slowest=0):
    """0 if every class in the folder's files of that pattern is in order, else 1."""
    sys.path.insert(0, str(folder))
    loader = unittest.TestLoader()
    found = {name: each for name, each in classes(loader.discover(str(folder), pattern)).items() if wanted(name)}
    if loader.errors:
        print("\n".join(loader.errors))
        return 1
    took, broken = {}, {}

    def told(name, outcome):
        fine, took[name], said = outcome
        block = f"=== {name}, {took[name]:.1f} s\n{said}"
        if fine:
            print(block, flush=True)
        else:
            broken[name] = block

    built = tempfile.TemporaryDirectory(prefix="msf_built_")
    # What one test has compiled another one may use.
    os.environ["MSF_TEST_BUILT"] = built.name
    alone = [name for name, each in found.items() if getattr(each, "ALONE", None)]
    with ThreadPoolExecutor(jobs or 2 * len(os.sched_getaffinity(0))) as pool:
        # Those that say that they are LONG first, or everybody waits for them in the end.
        names = sorted(found, key=lambda name: not getattr(found[name], "LONG", False))
        running = {pool.submit(run_class, folder, name): name for name in names if name not in alone}
        for ended in as_completed(running):
            told(running[ended], ended.result())
    for name in alone:
        told(name, run_class(folder, name))
    built.cleanup()
    # Where they are looked for.
    for block in broken.values():
        print(block)
    for name in sorted(took, key=took.get, reverse=True)[:slowest]:
        print(f"{took[name]:6.1f} s  {name}")
    print(f"{len(found)} classes" + (f"; failed: {', '.join(sorted(broken))}" if broken else ", all in order"))
    return 1 if broken else 0


def classes(suite):
    """Every class with tests in a suite, by module.Class; one that several modules know, once."""
    found = {}
    for one in suite:
        if isinstance(one, unittest.TestSuite):
            found |= classes(one)
        else:
            found[unittest.util.strclass(type(one))] = type(one)
    return found


def run_class(folder, name):
    """Whether a class is in order, how long it took, and what was said."""
    began = time.monotonic()
    command = [sys.executable, "-m", "unittest", "-v", name]
    try:
        done = subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=LIMIT, check=False)
        fine, said = done.returncode == 0, done.stdout
    except subprocess.TimeoutExpired as late:
        fine, said = False, (late.stdout or b"") + f"\n{name} has not ended after {LIMIT} s\n".encode()
    return fine, time.monotonic() - began, said.decode(errors="replace")
