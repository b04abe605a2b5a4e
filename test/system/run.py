#!/usr/bin/env python3
"""Runs the system tests; see test/classes.py.

usage: run.py [--jobs N] [--slowest N] [PATTERN...]

    --jobs N     how many classes at once; twice the number of processors by default
    --slowest N  tells the N classes that took longest
    PATTERN      only the classes that have one of these in module.Class
"""

import argparse
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from classes import run_classes                                         # noqa: E402


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int)
    parser.add_argument("--slowest", type=int, default=0)
    parser.add_argument("pattern", nargs="*")
    options = parser.parse_args()

    def wanted(name):
        return not options.pattern or any(pattern in name for pattern in options.pattern)

    return run_classes(HERE, wanted=wanted, jobs=options.jobs, slowest=options.slowest)


if __name__ == "__main__":
    sys.exit(main())
