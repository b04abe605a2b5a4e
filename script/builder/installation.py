"""Installing the stage tree under PREFIX, and taking it away again.

Everything installed is written down in <prefix>/share/msf/manifest, so that uninstalling needs no stage tree. A
configuration file is never overwritten: when the administrator's differs, ours is put beside it as <name>.new; at
uninstallation a changed one stays. The CMake files name paths relative to themselves, so a tree installed with DESTDIR
works where it lies; pkg-config has --define-prefix for that.
"""

import hashlib
import os
import shutil
from pathlib import Path

from .command import ROOT, BuildError, output, run, say
from .stage import SAMPLES, version

MANIFEST = "share/msf/manifest"
LICENCES = ("LICENSE-APACHE", "LICENSE-MIT", "README.md", "CHANGELOG.md")


class Installation:
    def __init__(self, prefix, destdir=""):
        if not os.path.isabs(prefix):
            raise BuildError(f"PREFIX must be an absolute path, not {prefix!r}")
        self.prefix = Path(prefix)
        self.destdir = destdir
        # /usr keeps its configuration in /etc, every other prefix in its own etc.
        self.sysconf = Path("/etc/msf") if self.prefix == Path("/usr") else self.prefix / "etc/msf"
        self.entries = []

    def install(self, stage):
        self.remember_earlier_folders()
        for folder in ("bin", "lib"):
            for path in sorted((stage.root / folder).iterdir()):
                if not path.name.startswith("."):
                    self.put(path, self.prefix / folder / path.name)
        for header in sorted(stage.include.glob("*.h")):
            self.put(header, self.prefix / "include/msf" / header.name, mode=0o644)
        for name in ("msf.pc", "ipc.pc"):
            self.fill(ROOT / "script/config" / f"{name}.in", self.prefix / "lib/pkgconfig" / name)
        for name in ("MsfConfig.cmake", "MsfConfigVersion.cmake"):
            self.fill(ROOT / "cmake" / f"{name}.in", self.prefix / "lib/cmake/Msf" / name)
        for unit in sorted((ROOT / "script/systemd").glob("*.service.in")):
            self.fill(unit, self.prefix / "lib/systemd/system" / unit.stem)
        for sample in SAMPLES:
            self.configure(ROOT / "script/config" / sample, self.sysconf / sample)
        for text in LICENCES:
            self.put(ROOT / text, self.prefix / "share/doc/msf" / text, mode=0o644)
        # At the same places relative to README.md, so that its links lead somewhere.
        for page in sorted((ROOT / "doc").rglob("*.md")):
            self.put(page, self.prefix / "share/doc/msf" / page.relative_to(ROOT), mode=0o644)
        self.write_manifest()
        self.refresh_loader()
        say(f"installed {sum(kind != 'd' for kind, _, _ in self.entries)} files under {self.real(self.prefix)}")

    def uninstall(self):
        manifest = self.real(self.prefix / MANIFEST)
        if not manifest.exists():
            raise BuildError(f"nothing to uninstall: {manifest} is not there")
        entries = [tuple(line.split(" ", 2)) for line in manifest.read_text().splitlines()]
        for kind, digest, name in entries:
            path = self.real(name)
            if kind == "d" or not os.path.lexists(path):
                continue
            if kind == "c" and hashed(path) != digest:
                say(f"kept {path}: it was changed after installation")
                continue
            path.unlink()
        manifest.unlink()
        # Deepest first; a folder that holds something of somebody else stays.
        folders = [self.real(name) for kind, _, name in entries if kind == "d"]
        for folder in sorted(folders, key=lambda path: len(path.parts), reverse=True):
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()
        self.refresh_loader()
        say(f"uninstalled from {self.real(self.prefix)}")

    def real(self, path):
        """Where an installed path lies on this machine: below DESTDIR when one is given."""
        return Path(f"{self.destdir}{path}") if self.destdir else Path(path)

    def remember_earlier_folders(self):
        """Folders an earlier installation made are still ours to remove."""
        manifest = self.real(self.prefix / MANIFEST)
        if manifest.exists():
            lines = (line.split(" ", 2) for line in manifest.read_text().splitlines())
            self.entries += [tuple(line) for line in lines if line[0] == "d"]

    def put(self, source, to, mode=None):
        real = self.room(to)
        fresh = real.with_name(f".{real.name}.new")
        fresh.unlink(missing_ok=True)
        shutil.copy2(source, fresh, follow_symlinks=False)
        if mode is not None:
            fresh.chmod(mode)
        fresh.replace(real)
        self.entries.append(("f", "-", str(to)))

    def fill(self, template, to):
        real = self.room(to)
        real.write_text(self.filled(template))
        real.chmod(0o644)
        self.entries.append(("f", "-", str(to)))

    def configure(self, sample, to):
        """A sample configuration: ours only until somebody edits it."""
        real, text = self.room(to), sample.read_text()
        if real.exists() and real.read_text() != text:
            say(f"kept {real} as it is; the new sample is {real.name}.new")
            to = to.with_name(f"{to.name}.new")
            real = self.real(to)
        real.write_text(text)
        real.chmod(0o644)
        self.entries.append(("c", hashed(real), str(to)))

    def filled(self, template):
        text = template.read_text()
        words = {"PREFIX": self.prefix, "BINDIR": self.prefix / "bin", "SYSCONFDIR": self.sysconf, "VERSION": version()}
        for word, value in words.items():
            text = text.replace(f"@{word}@", str(value))
        return text

    def room(self, to):
        """The real path of `to`, its folders made and each new one written down."""
        real = self.real(to)
        missing = [folder for folder in Path(to).parents if not self.real(folder).exists()]
        self.entries += [("d", "-", str(folder)) for folder in reversed(missing)]
        real.parent.mkdir(parents=True, exist_ok=True)
        return real

    def write_manifest(self):
        real = self.room(self.prefix / MANIFEST)
        unique = dict.fromkeys(self.entries)
        real.write_text("".join(f"{kind} {digest} {name}\n" for kind, digest, name in unique))

    def refresh_loader(self):
        """Lets the dynamic linker learn of /usr/local/lib and the like; a staged tree concerns it not."""
        if not self.destdir and os.geteuid() == 0 and output(["ldconfig", "--version"]) is not None:
            run(["ldconfig"])


def hashed(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()
