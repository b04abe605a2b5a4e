#!/usr/bin/env python3
"""Headers, Rust mirror and symbols say the same, and everybody is linked to the same library.

  check_abi.py [--stage DIR]              compares them (DIR, or MSF_STAGE: the tree build.py made)
  check_abi.py --self-test [--stage DIR]  changes each of them alone, in copies, and wants to see it noticed

Exit: 0 they agree, 1 they do not, 2 wrong usage.
"""

import argparse
import os
import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from abi.compare import Abi  # noqa: E402
from abi.headers import Broken  # noqa: E402
from abi.linkage import linkage  # noqa: E402
from abi.mirror import Unknown  # noqa: E402
from abi.selftest import self_test  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent
COMPILERS = {"gcc": "x86_64", "arm-linux-gnueabihf-gcc": "armhf", "aarch64-linux-gnu-gcc": "aarch64"}


class Tally:
    """A line per comparison and the count at the end."""

    def __init__(self):
        self.passed = self.failed = self.skipped = 0

    def compared(self, title, wrong):
        self.failed += bool(wrong)
        self.passed += not wrong
        print(f"{'FAIL' if wrong else 'ok  '} {title}", flush=True)
        for sentence in wrong:
            print(f"       {sentence}")

    def skip(self, title, why):
        self.skipped += 1
        print(f"skip {title}: {why}")

    def finish(self):
        print(f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped")
        return 1 if self.failed else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--stage", type=Path, default=os.environ.get("MSF_STAGE"), help="the stage tree")
    parser.add_argument("--self-test", action="store_true", help="change each alone and see the comparison fail")
    options = parser.parse_args()
    try:
        return checked(options)
    except (Broken, Unknown) as error:
        print(f"check_abi: {error}", file=sys.stderr)
        return 1


def checked(options):
    tally = Tally()
    include, ffi = ROOT / "include", ROOT / "lib/sys/src/ffi"
    stage = Path(options.stage, "lib") if options.stage else None
    if options.self_test:
        self_test(include, ffi, stage, tally)
        return tally.finish()
    abi = Abi(include, ffi)
    for cc, machine in COMPILERS.items():
        title = f"mirror and headers agree for {machine} ({cc})"
        if shutil.which(cc):
            tally.compared(title, abi.prototypes(cc))
        else:
            tally.skip(title, "no such compiler here")
    tally.compared("mirror and headers name the same", abi.names())
    title = "headers and symbols name the same"
    if stage is None:
        tally.skip(title, "no --stage DIR and no MSF_STAGE")
    else:
        tally.compared(title, abi.symbols(stage))
        tally.compared("programs and libraries ask for one libmsf.so.1", linkage(options.stage))
        tally.compared("the stage tree has these headers", staged_headers(include, Path(options.stage, "include")))
    return tally.finish()


def staged_headers(include, staged):
    names = {path.name for folder in (include, staged) for path in folder.glob("*.h")}
    return [f"{name}: differs or is in one only" for name in sorted(names)
            if read(include / name) is None or read(include / name) != read(staged / name)]


def read(path):
    return path.read_bytes() if path.exists() else None


if __name__ == "__main__":
    sys.exit(main())
