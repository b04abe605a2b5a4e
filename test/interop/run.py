#!/usr/bin/env python3
"""Real nmid peers against msf_agent: obtains and builds them, then runs the tests of this folder.

usage: run.py [--long] [--original] [name...]

    --long      the tests that take minutes (long_*.py) instead of the others
    --original  against the original broker: shows which of its faults the tests would notice
    name        a module, class or test, as unittest names them: test_go.GoPeers
"""

import argparse
import os
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.dirname(HERE)]

import peers                                                            # noqa: E402
from classes import run_classes                                         # noqa: E402


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--original", action="store_true")
    parser.add_argument("name", nargs="*")
    options = parser.parse_args()
    if options.original:
        os.environ["MSF_INTEROP_BROKER"] = "original"
    # Fetched before the first test, so that none of them waits for a download.
    try:
        peers.main()
    except peers.Refused as why:
        print(why)
    except peers.Broken as why:
        print(f"a peer cannot be built: {why}")
        return 1
    if not options.name:
        return run_classes(HERE, "long_*.py" if options.long else "test_*.py")
    tests = unittest.defaultTestLoader.loadTestsFromNames(options.name)
    done = unittest.TextTestRunner(stream=sys.stdout, verbosity=2).run(tests)
    return 0 if done.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main())
