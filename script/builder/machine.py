"""What this machine has, and what it lacks.

Every need names the Debian package that satisfies it. As root on Debian the package is installed; anywhere else the
message says which package it is. Nothing else in build.py touches the system.
"""

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from .command import BuildError, output, run, say

RUST_NEEDED = (1, 95)


@dataclass(frozen=True)
class Need:
    """A program in PATH, or (with `header`) an include file the C compiler finds."""

    what: str
    package: str
    header: bool = False

    def met(self):
        if not self.header:
            return shutil.which(self.what) is not None
        return output(["gcc", "-E", "-include", self.what, "-x", "c", "/dev/null"]) is not None


NEEDS = {
    "build": [Need("gcc", "gcc"), Need("readelf", "binutils"), Need("stdio.h", "libc6-dev", header=True)],
    "demo": [Need("curl", "curl")],
    "test": [
        Need("g++", "g++"),
        Need("make", "make"),
        Need("cmake", "cmake"),
        Need("pkg-config", "pkg-config"),
        Need("strace", "strace"),
        Need("promtool", "prometheus"),
    ],
    "interop": [
        Need("go", "golang-go"),
        Need("pip3", "python3-pip"),
        Need("etcd", "etcd-server"),
        Need("curl", "curl"),
    ],
    "hwloc": [Need("hwloc.h", "libhwloc-dev", header=True), Need("libudev.h", "libudev-dev", header=True)],
    "bench": [
        Need("strace", "strace"),
        Need("event2/event.h", "libevent-dev", header=True),
        Need("uv.h", "libuv1-dev", header=True),
        Need("ev.h", "libev-dev", header=True),
        Need("mimalloc.h", "libmimalloc-dev", header=True),
        Need("spdlog/version.h", "libspdlog-dev", header=True),
        Need("nats-server", "nats-server"),
        Need("gearmand", "gearman-job-server"),
        Need("wrk", "wrk"),
        Need("s6-svscan", "s6"),
        Need("runsvdir", "runit"),
    ],
}


def prepare(*groups):
    """Makes sure that everything the named groups need is here."""
    needs = [need for group in groups for need in NEEDS[group]]
    obtain(needs)


def obtain(needs):
    missing = [need for need in needs if not need.met()]
    if not missing:
        return
    install([need.package for need in missing], "missing: " + ", ".join(need.what for need in missing))
    still = [need for need in missing if not need.met()]
    if still:
        names = ", ".join(f"{need.what} (package {need.package})" for need in still)
        raise BuildError(f"still missing after installation: {names}")


def install(packages, why):
    """Installs Debian packages, or says which ones are wanted."""
    packages = sorted(set(packages))
    wanted = " ".join(packages)
    if shutil.which("apt-get") is None:
        raise BuildError(f"{why}; on Debian these packages provide it: {wanted}")
    if os.geteuid() != 0:
        raise BuildError(f"{why}; install as root: apt-get install {wanted}")
    say(f"{why}; installing {wanted}")
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    command = ["apt-get", "install", "-y", "-q", "--no-install-recommends", *packages]
    try:
        run(command, env=quiet)
    except BuildError:
        # The package lists of a fresh image are empty or stale.
        run(["apt-get", "update", "-q"])
        run(command, env=quiet)


class Rust:
    """The Rust toolchain in use: rustup's when rustup is here, else whatever is in PATH, else Debian's."""

    def __init__(self):
        self.add_cargo_home_to_path()
        self.rustup = shutil.which("rustup")
        if self.version() < RUST_NEEDED:
            self.provide()

    @staticmethod
    def add_cargo_home_to_path():
        """A fresh rustup lives in ~/.cargo/bin, which a non-login shell does not have in PATH."""
        home = Path(os.environ.get("CARGO_HOME", Path.home() / ".cargo")) / "bin"
        if shutil.which("cargo") is None and (home / "cargo").exists():
            os.environ["PATH"] = f"{home}{os.pathsep}{os.environ['PATH']}"

    @staticmethod
    def version():
        """The lower of rustc's and cargo's version; (0, 0) when one is missing."""
        found = []
        for tool in ("rustc", "cargo"):
            match = re.match(rf"{tool} (\d+)\.(\d+)", output([tool, "--version"]) or "")
            found.append((int(match[1]), int(match[2])) if match else (0, 0))
        return min(found)

    def provide(self):
        have, want = "%d.%d" % self.version(), "%d.%d" % RUST_NEEDED
        why = f"Rust {want} or newer is needed" + ("" if have == "0.0" else f" ({have} is here)")
        if self.rustup:
            say(f"{why}; asking rustup for the current stable")
            run(["rustup", "toolchain", "install", "stable", "--profile", "minimal", "-c", "clippy", "-c", "rustfmt"])
            os.environ["RUSTUP_TOOLCHAIN"] = "stable"
        else:
            # These install as plain /usr/bin/rustc and /usr/bin/cargo; cargo fetches crates over TLS.
            install(["rustc-web", "cargo-web", "ca-certificates"], why)
        if self.version() < RUST_NEEDED:
            raise BuildError(f"{why}; {'rustup' if self.rustup else 'package rustc-web'} has only %d.%d" % self.version())

    def components(self):
        """rustfmt and clippy, for the checks."""
        for program, component, package in (("rustfmt", "rustfmt", "rustfmt-web"),
                                            ("cargo-clippy", "clippy", "rust-web-clippy")):
            if output([program, "--version"]) is not None:
                continue
            if self.rustup:
                run(["rustup", "component", "add", component])
            else:
                install([package], f"missing: {program}")

    def standard_library(self, triple):
        """Cargo flags and environment with which std for a foreign `triple` is to be had."""
        if self.rustup:
            if triple not in (output(["rustup", "target", "list", "--installed"]) or "").split():
                run(["rustup", "target", "add", triple])
            return [], {}
        sysroot = Path((output(["rustc", "--print", "sysroot"]) or "").strip())
        if (sysroot / "lib/rustlib" / triple / "lib").is_dir():
            return [], {}
        return self.own_standard_library("-Zbuild-std=std,panic_unwind")

    def own_standard_library(self, *flags):
        """The same for a std that is compiled with the program, as the unstable `flags` say: a stable cargo takes them
        when told to."""
        sysroot = Path((output(["rustc", "--print", "sysroot"]) or "").strip())
        if not (sysroot / "lib/rustlib/src/rust/library").exists():
            if self.rustup:
                run(["rustup", "component", "add", "rust-src"])
            else:
                install(["rust-web-src"], "missing: the source of the standard library")
        return list(flags), {"RUSTC_BOOTSTRAP": "1"}
