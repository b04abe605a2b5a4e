"""Where the real peers come from: the published modules, fetched and built once, kept under build/interop.

No nmid code is in this repository. Go's module proxy gives the Go SDK at two versions, pinned by the go.sum files beside
this one, and with it the Python SDK, which the newer module carries; pip gives the one package that needs. A source that
refuses is `Refused`, the only reason for which a test here may be skipped; everything else that goes wrong is an error.
"""

import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
CACHE = ROOT / "build/interop"
MODULE = "github.com/HughNian/nmid"
OLD, NEW = "v1.0.7", "v1.0.17"      # the oldest and the newest the proxy gives; README.md says how that was found
VERSIONS = (OLD, NEW)
MSGPACK = "msgpack==1.1.2"
WAIT = 600                          # seconds one download may take

# What the Go command says when it did not get an answer, or got a No, from where modules come from.
NO_SOURCE = re.compile(r"reading https?://|dial tcp|no such host|proxyconnect|i/o timeout|connection refused|TLS handshake|lookup disabled")
# ... and what must never be mistaken for that.
FORGED = re.compile(r"checksum mismatch|SECURITY ERROR")


class Refused(Exception):
    """The source of a module said no; the text says which and how."""


class Broken(Exception):
    """A peer was fetched and does not build."""


def go_client(version):
    return made(version)["client"]


def go_worker(version):
    return made(version)["worker"]


def manual_client():
    return made(NEW)["manual_client"]


def manual_worker():
    return made(NEW)["manual_worker"]


def original_broker():
    return made(NEW)["original"]


def made(version):
    """The programs of one version by name, built unless they stand there, made from the very same sources."""
    folder = CACHE / version
    names = ["client", "worker"] + (["manual_client", "manual_worker", "original"] if version == NEW else [])
    programs = {name: folder / name for name in names}
    with alone(folder):
        stamp, wanted = folder / "stamp", fingerprint(version)
        if stamp.exists() and stamp.read_text() == wanted and all(path.exists() for path in programs.values()):
            return programs
        module = assembled(folder / "module", version)
        for name, path in programs.items():
            package = f"{MODULE}/cmd/server" if name == "original" else f"./{name}"
            go(["build", "-ldflags=-s -w", "-o", path, package], module)
        stamp.write_text(wanted)
    return programs


def fingerprint(version):
    """Of everything the programs are made from; the modules themselves are in go.sum."""
    sources = sorted(path for path in (HERE / "go").rglob("*") if path.is_file() and path.relative_to(HERE / "go").parts[0]
                     in (version, "client", "worker", "manual"))
    digest = hashlib.sha256()
    for path in [*sources, Path(__file__)]:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def assembled(module, version):
    """A Go module of our programs: the manual's functions get their prologue here."""
    shutil.rmtree(module, ignore_errors=True)
    source, manual = HERE / "go", HERE / "go/manual"
    for name in ("client", "worker"):
        shutil.copytree(source / name, module / name)
    shutil.copy(source / version / "dial.go", module / "client")
    for name in ("go.mod", "go.sum"):
        shutil.copy(source / version / name, module)
    worker = (manual / "worker.txt").read_text()
    function = worker.split("func main()")[0]
    (module / "worker/to_upper.go").write_text((manual / "function_prologue.txt").read_text() + function)
    if version == NEW:
        for name in ("client", "worker"):
            text = (manual / f"{name}_prologue.txt").read_text() + (manual / f"{name}.txt").read_text()
            (module / f"manual_{name}").mkdir()
            (module / f"manual_{name}/main.go").write_text(text)
    return module


def python_path():
    """Folders for PYTHONPATH: the Python SDK where the Go command unpacked it, and what it imports."""
    made(NEW)
    folder = CACHE / "python"
    with alone(folder):
        if not (folder / "msgpack").is_dir():
            command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
                       "--target", folder, MSGPACK]
            done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=WAIT)
            if done.returncode != 0:
                said = done.stderr.strip() or done.stdout.strip()
                raise (Broken if "No module named pip" in said else Refused)(f"pip did not get {MSGPACK}: {said[-400:]}")
    return [python_sdk(), folder]


def python_sdk():
    module = CACHE / NEW / "module"
    listed = json.loads(go(["list", "-m", "-json", MODULE], module))
    return Path(listed["Dir"]) / "sdk/python3"


def first():
    """The peer of the first generation, which is ours, of C: see first.c."""
    folder = CACHE / "first"
    sources, program = [HERE / "first.c", HERE / "first_wire.h"], folder / "first"
    with alone(folder):
        if not program.exists() or program.stat().st_mtime < max(source.stat().st_mtime for source in sources):
            command = [os.environ.get("CC", "gcc"), "-std=gnu11", "-O1", "-g", "-Wall", "-Wextra", "-Wpedantic", "-Werror",
                       "-fsanitize=address,undefined", sources[0], "-o", program]
            done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
            if done.returncode != 0:
                raise Broken(done.stderr)
    return program


def go(words, module):
    """What the Go command prints. -mod=readonly: what is not in go.sum is not used."""
    env = {**os.environ, "GOFLAGS": f"{os.environ.get('GOFLAGS', '')} -mod=readonly".strip(), "CGO_ENABLED": "0",
           "PATH": f"{os.environ['PATH']}{os.pathsep}/usr/local/go/bin"}
    done = subprocess.run(["go", *map(str, words)], cwd=module, env=env, capture_output=True, text=True, timeout=WAIT)
    if done.returncode == 0:
        return done.stdout
    said = done.stderr.strip()[-1500:]
    if NO_SOURCE.search(said) and not FORGED.search(said):
        raise Refused(f"the module source refuses: {said}")
    raise Broken(f"go {' '.join(map(str, words))}\n{said}")


@contextmanager
def alone(folder):
    """Two runs at a time do not build the same thing at a time."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def main():
    began = time.monotonic()
    for version in VERSIONS:
        print(f"{MODULE}@{version}: {', '.join(made(version))}")
    print(f"Python SDK: {python_path()[0]}")
    print(f"first generation, C: {first()}")
    print(f"{time.monotonic() - began:.1f} s")


if __name__ == "__main__":
    main()
