#!/usr/bin/env python3
"""The soak test: many callers, two services, every answer compared; then the same with a service killed every second.

usage: run.py --stage DIR [--seconds N] [--clients N] [--payload BYTES]

Builds the load generator (the package msf-test) and the C service, runs both passes against the staged agent, and
ends with a line `N passed, N failed`.
"""

import argparse
import os
import pathlib
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent


def build_load_generator():
    subprocess.run(["cargo", "build", "--quiet", "--release", "--package", "msf-test", "--bin", "msf_soak"],
                   cwd=ROOT, check=True)
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    return ROOT / target / "release" / "msf_soak"


def build_service(stage, folder):
    program = pathlib.Path(folder) / "soak_service"
    subprocess.run([os.environ.get("CC", "gcc"), "-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror",
                    f"-I{stage}/include", str(HERE / "soak_service.c"), "-o", str(program),
                    f"-L{stage}/lib", "-lipc", "-lmsf", "-lpthread", f"-Wl,-rpath,{stage}/lib"], check=True)
    return program


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stage", required=True, type=pathlib.Path)
    parser.add_argument("--seconds", type=int, default=30)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--payload", type=int, default=64 * 1024)
    options = parser.parse_args()
    stage = options.stage.resolve()
    load = build_load_generator()
    passed = failed = 0
    with tempfile.TemporaryDirectory(prefix="msf-soak-") as folder:
        service = build_service(stage, folder)
        common = [str(load), "--agent", str(stage / "bin" / "msf_agent"), "--service", str(service),
                  "--seconds", str(options.seconds), "--clients", str(options.clients),
                  "--payload", str(options.payload)]
        for title, extra in (("plain", []), ("a service killed every second", ["--kill-every", "1000"])):
            print(f"soak, {title}: {options.clients} callers, {options.seconds} s", flush=True)
            if subprocess.run(common + extra, timeout=options.seconds + 60).returncode == 0:
                passed += 1
            else:
                failed += 1
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
