"""A machine to build for: its triple, its C compiler, and how its programs run here."""

import platform
from dataclasses import dataclass

from . import machine
from .command import BuildError

NATIVE_CPUS = {"x86_64": "x86_64-unknown-linux-gnu", "aarch64": "aarch64-unknown-linux-gnu",
               "armv7l": "armv7-unknown-linux-gnueabihf"}

# Both profiles compile std with the program: Debian's and rustup's hold a symbolizer for backtraces, which is 200 KB of
# every library and program here. What is left of it is as fast as the one that was left out.
OWN_STD = {
    "release": ("-Zbuild-std=std,panic_unwind", "-Zbuild-std-features=",
                *(word for crate in ("core", "alloc", "std")
                  for word in ("--config", f"profile.release.package.{crate}.opt-level=3"))),
    # Beyond that no tables for unwinding, panics that do not name their place, digests by loops that are not unrolled, and
    # functions for what the compiler finds repeated.
    "gateway": ("-Zbuild-std=std,panic_abort", "-Zbuild-std-features=optimize_for_size", "-Zprofile-rustflags", "--config",
                """profile.gateway.rustflags=['-Zlocation-detail=none', '-Cforce-unwind-tables=no', """
                """'-Cllvm-args=-enable-machine-outliner=always', '--cfg=sha1_backend="soft"', """
                """'--cfg=sha2_backend="soft"', '--cfg=sha2_backend_soft="compact"']"""),
}


@dataclass(frozen=True)
class Target:
    triple: str
    gnu: str        # prefix of the cross compiler: <gnu>-gcc
    debian: str     # suffix of the cross compiler's package: gcc-<debian>
    libc: str       # Debian's name of the CPU, in the cross libc package
    qemu: str

    @property
    def native(self):
        return self.triple == native_triple()

    @property
    def gcc(self):
        return "gcc" if self.native else f"{self.gnu}-gcc"

    @property
    def strip(self):
        return "strip" if self.native else f"{self.gnu}-strip"

    def prepare(self, rust, profile):
        """Gets the cross compiler and std; returns cargo's extra flags and environment."""
        if self.native and profile not in OWN_STD:
            return [], {}
        own = profile in OWN_STD
        flags, env = rust.own_standard_library(*OWN_STD[profile]) if own else rust.standard_library(self.triple)
        if self.native:
            return ["--target", self.triple, *flags], env
        machine.obtain([machine.Need(self.gcc, f"gcc-{self.debian}")])
        probe = ["-E", "-include", "stdio.h", "-x", "c", "/dev/null"]
        if machine.output([self.gcc, *probe]) is None:
            machine.install([f"libc6-dev-{self.libc}-cross"], f"missing: the C library's headers for {self.triple}")
        name = self.triple.replace("-", "_")
        env = {**env, f"CARGO_TARGET_{name.upper()}_LINKER": self.gcc, f"CC_{name}": self.gcc}
        return ["--target", self.triple, *flags], env

    def runner(self):
        """The words to put before a program of this target so that it runs here."""
        if self.native:
            return []
        machine.obtain([machine.Need(self.qemu, "qemu-user")])
        return [self.qemu, "-L", f"/usr/{self.gnu}"]


TARGETS = {target.triple: target for target in (
    Target("x86_64-unknown-linux-gnu", "x86_64-linux-gnu", "x86-64-linux-gnu", "amd64", "qemu-x86_64"),
    Target("aarch64-unknown-linux-gnu", "aarch64-linux-gnu", "aarch64-linux-gnu", "arm64", "qemu-aarch64"),
    Target("armv7-unknown-linux-gnueabihf", "arm-linux-gnueabihf", "arm-linux-gnueabihf", "armhf", "qemu-arm"),
)}


def native_triple():
    return NATIVE_CPUS.get(platform.machine(), platform.machine())


def named(triple):
    triple = triple or native_triple()
    if triple not in TARGETS:
        raise BuildError(f"unknown target {triple}; known are {', '.join(TARGETS)}")
    return TARGETS[triple]
