#!/usr/bin/env python3
"""What a stage tree weighs and asks for, against what was promised.

    script/check_sizes.py STAGE...      exit status 1 when a file is too large, or a library needs another one
"""

import re
import subprocess
import sys
from pathlib import Path

KB = 1000
LIMITS = {
    "release": {"lib/libmsf.so.1": 900 * KB, "lib/libipc.so.1": 500 * KB, "bin/msf_agent": 2000 * KB},
    "gateway": {"lib/libmsf.so.1": 500 * KB, "lib/libipc.so.1": 300 * KB, "bin/msf_agent": 1700 * KB},
}
# What libmsf.so may need: the C library, its loader, and the unwinder.
NEEDED = re.compile(r"(libc|libgcc_s|ld-linux[\w-]*)\.so\.\d+")


def main(stages):
    passed = wrong = 0
    for stage in map(Path, stages):
        profile = (stage / ".stamp").read_text().strip()
        for sentence, fine in verdicts(stage, LIMITS[profile]):
            print(f"{'ok  ' if fine else 'FAIL'} {stage.name}: {sentence}")
            passed, wrong = passed + fine, wrong + (not fine)
    print(f"{passed} passed, {wrong} failed")
    return 1 if wrong or not passed else 0


def verdicts(stage, limits):
    for name, limit in limits.items():
        size = (stage / name).stat().st_size
        yield f"{name}: {size:,} bytes, at most {limit:,}", size <= limit
    names = needed(stage / "lib/libmsf.so.1")
    yield f"lib/libmsf.so.1 needs {', '.join(names)}", all(NEEDED.fullmatch(name) for name in names)


def needed(library):
    dynamic = subprocess.run(["readelf", "-d", library], stdout=subprocess.PIPE, text=True, check=True).stdout
    return re.findall(r"\(NEEDED\).*\[(.*)\]", dynamic)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
