"""The stage tree `build/<target>/{bin,lib,include,etc}`: what a machine of that target gets.

Cargo builds the Rust programs and libraries into its own folder; they are copied from there by rename, so that a
program of the tree may run while the tree is made again. The C services of plugins/ are compiled here, against the
tree's own headers and libraries, exactly as a user would compile them.

plugins/<name>.c, or every .c file of plugins/<name>/, is one of them: a program when it is in PROGRAMS, else the
service plugin lib<name>.so. Plugins in Rust are packages of the workspace, named below.
"""

import filecmp
import os
import re
import shutil
from pathlib import Path

from .command import ROOT, BuildError, output, run
from .target import OWN_STD

PACKAGES = ("msf", "ipc", "msf-agent", "msf-client", "msf-daemon", "msf-shell")
BINARIES = ("msf_agent", "msf_daemon", "msf_shell")
LIBRARIES = ("msf", "ipc")
RUST_PLUGINS = {"msf-count": "libmsf_count.so", "msf-words": "libmsf_words.so"}     # cargo's package -> its library
PROGRAMS = ("msf_upnp", "msf_dlna", "nmid_toupper", "nmid_call")
EXAMPLES = {"toupper": "nmid_toupper_rust"}     # cargo's name -> its name here
# Not for gateways, where it would weigh more than the rest of msf_daemon: there a command tells of alarms.
FEATURES = {"release": ("msf-daemon/tls",)}
SONAME_MAJOR = 1
C_FLAGS = ("-std=gnu11", "-O2", "-g0", "-Wall", "-Wextra", "-Werror=implicit-function-declaration")
SOURCES = ("Cargo.toml", "Cargo.lock", "lib", "agent", "daemon", "shell", "plugins", "include", "script/builder",
           "script/config")
SAMPLES = ("msf_agent.conf", "msf_agent.json", "server.yaml", "msf_agent_svc.json", "msf_daemon.json")
PROFILES = {"release": "release", "gateway": "gateway", "dev": "debug"}     # cargo's name -> its folder


class Stage:
    def __init__(self, target, profile="release"):
        self.target = target
        self.profile = profile
        self.root = ROOT / "build" / (target.triple if profile == "release" else f"{target.triple}-{PROFILES[profile]}")
        self.bin = self.root / "bin"
        self.lib = self.root / "lib"
        self.include = self.root / "include"
        self.etc = self.root / "etc"
        self.stamp = self.root / ".stamp"

    def build(self, rust):
        flags, env = self.target.prepare(rust, self.profile)
        command = ["cargo", "build", "--profile", self.profile, *flags]
        for package in (*PACKAGES, *self.rust_plugins()):
            command += ["-p", package]
        for feature in FEATURES.get(self.profile, ()):
            command += ["--features", feature]
        # With an example asked for, libraries and programs are built only when they are asked for as well.
        command += ["--lib", "--bins"]
        for example in EXAMPLES:
            command += ["--example", example]
        self.stamp.unlink(missing_ok=True)
        run(command, env=env)
        self.collect()
        self.compile_services()
        self.stamp.write_text(f"{self.profile}\n")

    def rust_plugins(self):
        """Not where a panic is to end the process: a plugin must not do that to its host."""
        return {} if self.profile == "gateway" else RUST_PLUGINS

    def fresh(self):
        """Whether the tree is complete and no source is newer: then installing needs no toolchain."""
        if not self.stamp.exists():
            return False
        made = self.stamp.stat().st_mtime
        files = (file for name in SOURCES for file in walk(ROOT / name))
        return all(file.stat().st_mtime <= made for file in files)

    def collect(self):
        for folder in (self.bin, self.lib, self.include):
            folder.mkdir(parents=True, exist_ok=True)
        built = self.cargo_folder()
        for name in BINARIES:
            place(built / name, self.bin / name, self.strip)
        for example, name in EXAMPLES.items():
            place(built / "examples" / example, self.bin / name, self.strip)
        for name in LIBRARIES:
            place(built / f"lib{name}.so", self.lib / f"lib{name}.so.{SONAME_MAJOR}", self.strip)
            relink(self.lib / f"lib{name}.so", f"lib{name}.so.{SONAME_MAJOR}")
        for name in self.rust_plugins().values():
            place(built / name, self.lib / name, self.strip)
        headers = sorted((ROOT / "include").glob("*.h"))
        if not headers:
            raise BuildError("include/ holds no header")
        for header in headers:
            place(header, self.include / header.name)
        # They name no place of this machine, so they work from here as well as installed.
        (self.etc / "msf").mkdir(parents=True, exist_ok=True)
        for sample in SAMPLES:
            place(ROOT / "script/config" / sample, self.etc / "msf" / sample)
        for stale in {path.name for path in self.include.iterdir()} - {header.name for header in headers}:
            (self.include / stale).unlink()

    def strip(self, path):
        """cargo's own strip leaves libmsf.so its symbol table, a fifth of the file."""
        if self.profile != "dev":
            run([self.target.strip, "--strip-all", path], quiet=True)

    def cargo_folder(self):
        base = Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target")
        base = base if base.is_absolute() else ROOT / base
        with_target = self.profile in OWN_STD or not self.target.native
        return base / (self.target.triple if with_target else "") / PROFILES[self.profile]

    def compile_services(self):
        for name, sources in services():
            if name in PROGRAMS:
                self.compile(sources, self.bin / name, ["-pie", "-fPIE", "-Wl,-rpath,$ORIGIN/../lib"])
            else:
                self.compile(sources, self.lib / f"lib{name}.so",
                             ["-shared", "-fPIC", "-Wl,-z,defs", "-Wl,-rpath,$ORIGIN"])

    def compile(self, sources, to, flags):
        """One C program or plugin, linked to both libraries."""
        fresh = to.with_name(f".{to.name}.new")
        # Relative, as __FILE__ goes into the log; run() starts it in the root folder.
        sources = [source.relative_to(ROOT) for source in sources]
        run([self.target.gcc, *C_FLAGS, "-I", self.include, *flags, *sources, "-o", fresh, "-s",
             "-L", self.lib, "-lipc", "-lmsf", "-pthread"])
        fresh.replace(to)

    def files(self):
        """Every ELF file of the tree, links left out."""
        return sorted(path for folder in (self.bin, self.lib) for path in folder.iterdir()
                      if path.is_file() and not path.is_symlink() and not path.name.startswith("."))

    def report(self):
        """Sizes, and the lowest glibc the tree runs on."""
        lowest, by = (0, 0), None
        print(f"\n{self.root.relative_to(ROOT)} ({self.profile})")
        for path in self.files():
            needs = glibc(path)
            print(f"  {path.relative_to(self.root)!s:<28}{path.stat().st_size:>10,} bytes   glibc {dotted(needs)}")
            if needs > lowest:
                lowest, by = needs, path.name
        print(f"  lowest glibc this build runs on: {dotted(lowest)} (asked for by {by})\n", flush=True)


def services():
    """The C services of plugins/: (name, its sources), from files and from folders alike."""
    folder = ROOT / "plugins"
    found = []
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        if path.suffix == ".c":
            found.append((path.stem, [path]))
        elif path.is_dir() and any(path.glob("*.c")):
            found.append((path.name, sorted(path.glob("*.c"))))
    names = [name for name, _ in found]
    for program in PROGRAMS:
        if program not in names:
            raise BuildError(f"plugins/ holds no source of {program}")
    return found


def walk(path):
    return (file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]


def place(source, to, finish=lambda path: None):
    """Copies when the content differs; by rename, because a running program's file cannot be written."""
    if not source.exists():
        raise BuildError(f"{source} was not built")
    fresh = to.with_name(f".{to.name}.new")
    shutil.copy2(source, fresh)
    finish(fresh)
    if to.exists() and filecmp.cmp(fresh, to, shallow=False):
        fresh.unlink()
    else:
        fresh.replace(to)


def relink(link, to):
    if link.is_symlink() and os.readlink(link) == to:
        return
    link.unlink(missing_ok=True)
    link.symlink_to(to)


def glibc(path):
    """The newest GLIBC_x.y symbol version a file asks for."""
    versions = re.findall(r"GLIBC_(\d+)\.(\d+)", output(["readelf", "--version-info", "--wide", path]) or "")
    return max(((int(major), int(minor)) for major, minor in versions), default=(0, 0))


def dotted(version):
    return ".".join(map(str, version)) if any(version) else "-"


def version():
    """The workspace's version, from cargo's own file."""
    text = (ROOT / "Cargo.toml").read_text()
    match = re.search(r'^\[workspace\.package\][^\[]*?^version = "([^"]+)"', text, re.M | re.S)
    if not match:
        raise BuildError("Cargo.toml: [workspace.package] has no version")
    return match[1]
