#!/usr/bin/env python3
"""The law of the house, checked.

Refuses: a Cargo arrow that the law does not know; a room that uses one above it; edge and control of the agent naming
each other; a lock in agent/; a pure crate without forbid(unsafe_code); a line number cited in the documentation.
Reports, for a person to judge: long files, long functions, a third-party crate named in several files, placeholder
comments, dev-dependencies outside the law.

    script/check_layers.py            checks the repository, exit status 1 when something is refused
    script/check_layers.py --quiet    the same without the reports
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# Who may use whom. Nothing uses msf-test.
LAW = {
    "msf-wire": set(),
    "msf-conf": set(),
    "msf-core": set(),
    "msf-sys": set(),
    "msf-client": {"msf-wire"},
    "msf": {"msf-core"},
    "ipc": {"msf-client", "msf-sys"},
    "msf-agent": {"msf-core", "msf-wire", "msf-conf"},
    "msf-daemon": {"msf-client", "msf-core", "msf-conf"},
    "msf-shell": {"msf-sys", "msf-conf", "msf-client"},
    "msf-test-plugin": {"msf-sys"},
    "msf-test": {"msf-wire", "msf-conf", "msf-core", "msf-sys", "msf-client", "msf", "ipc",
                 "msf-agent", "msf-daemon", "msf-shell"},
}
PLUGIN_LAW = {"msf-sys"}
PURE = ("msf-wire", "msf-conf", "msf-client")

# Rooms inside a crate, lowest first; a room uses its own floor and those below, and the room that it is itself in.
FLOORS = {
    "lib/core/src": [
        ["sys", "error", "crypto", "exposition"],
        ["log", "mem"],
        ["timer"],
        ["event"],
        ["net", "shm", "serial", "file", "thread", "process", "sysinfo"],
        ["svc", "pages"],
    ],
    "agent/src": [
        ["observe", "upgrade"],
        ["core"],
        ["edge", "control"],
        ["app"],
    ],
    "daemon/src": [
        ["law"],
        ["face"],
        ["run::output"],
        ["run::child"],
        ["run::watch"],
        ["run::tell", "run::keep"],
        ["run::door"],
        ["run"],
    ],
    "shell/src": [
        ["text", "ready", "signals", "detach", "word", "library"],
        ["place"],
        ["apart"],
        ["copy"],
        ["keep"],
        ["door"],
        ["host", "tenant"],
    ],
}
STRANGERS = {"agent/src": [("edge", "control")]}
LOCKS_BANNED = "agent/src"

EVERYWHERE = {"libc", "nix"}
LONG_FILE = 500
LONG_FUNCTION = 60
SKIPPED_FOLDERS = {"target", "build", ".git", "__pycache__"}

LINE_CITATION = re.compile(r"\b[\w/-]+\.(?:rs|c|h|py|sh|toml|json|md|cmake):\d+|#L\d+|\blines? \d+", re.I)
PLACEHOLDER = re.compile(r"\b(?:TODO|FIXME|XXX|HACK)\b|\b(?:todo|unimplemented)!")


def main(arguments):
    packages = workspace()
    sources = {path: code(path.read_text()) for path in rust_files()}
    refused = [*broken_arrows(packages), *broken_floors(sources), *locks(sources), *impure(packages), *citations()]
    if "--quiet" not in arguments:
        for line in [*odd_dev_arrows(packages), *long_files(), *long_functions(sources),
                     *scattered_crates(packages, sources), *placeholders()]:
            print(f"report: {line}")
    for line in refused:
        print(f"refused: {line}")
    print(f"{len(packages)} crates, {len(sources)} files: " + (f"{len(refused)} refused" if refused else "the law holds"))
    return 1 if refused else 0


# --- arrows between crates ---

def workspace():
    """Every package of the workspace: name -> (folder, {kind: names of its dependencies})."""
    done = subprocess.run(["cargo", "metadata", "--no-deps", "--format-version", "1"], cwd=ROOT,
                          stdout=subprocess.PIPE, text=True, check=True)
    packages = {}
    for package in json.loads(done.stdout)["packages"]:
        kinds = {}
        for dependency in package["dependencies"]:
            kinds.setdefault(dependency["kind"] or "normal", set()).add(dependency["name"])
        folder = Path(package["manifest_path"]).parent.relative_to(ROOT)
        packages[package["name"]] = (str(folder), kinds)
    return packages


def allowed(name, folder):
    return PLUGIN_LAW if folder.startswith("plugins/") else LAW.get(name)


def broken_arrows(packages):
    for name, (folder, kinds) in sorted(packages.items()):
        law = allowed(name, folder)
        if law is None:
            yield f"{folder}/Cargo.toml: crate {name} has no place in the law; give it one in script/check_layers.py"
            continue
        for kind in ("normal", "build"):
            for other in sorted(kinds.get(kind, set()) & (set(packages) | set(LAW))):
                if other not in law:
                    yield f"{folder}/Cargo.toml: {name} -> {other} is no arrow of the law"


def odd_dev_arrows(packages):
    for name, (folder, kinds) in sorted(packages.items()):
        for other in sorted((kinds.get("dev", set()) & set(packages)) - (allowed(name, folder) or set())):
            yield f"{folder}/Cargo.toml: dev-dependency {name} -> {other} lies outside the law"


# --- floors inside a crate ---

def broken_floors(sources):
    """`sources`: path (relative to the root, or absolute) -> stripped code."""
    for crate, floors in FLOORS.items():
        height = {room: level for level, rooms in enumerate(floors) for room in rooms}
        for path, text in sorted(sources.items(), key=lambda item: str(item[0])):
            module = module_of(path, crate)
            if not module:
                continue
            here = room_of(module, height)
            if here is None:
                yield f"{relative(path)}: room {module[0]} has no floor; give it one in script/check_layers.py"
                continue
            named = {room_of(name, height) for name in names_used(text, module)} - {None, here}
            for room in sorted(named):
                if height[room] > height[here] and not here.startswith(f"{room}::"):
                    yield f"{relative(path)}: {here} uses {room}, which lies above it"
                elif any({here, room} == set(pair) for pair in STRANGERS.get(crate, ())):
                    yield f"{relative(path)}: {here} and {room} never name each other"


def module_of(path, crate):
    """("event", "reactor") for lib/core/src/event/reactor.rs; () for the crate's root and for other crates."""
    inside = relative(path)
    if not inside.startswith(crate + "/"):
        return ()
    words = inside[len(crate) + 1:].removesuffix(".rs").split("/")
    if words[-1] == "mod":
        words.pop()
    return () if words in (["lib"], ["main"]) else tuple(words)


def room_of(module, height):
    """The longest prefix of a module's path that is a room."""
    for length in range(len(module), 0, -1):
        room = "::".join(module[:length])
        if room in height:
            return room
    return None


def names_used(text, module):
    """Absolute module paths (tuples) that stripped code names through crate:: and super::."""
    for match in re.finditer(r"\b(crate|super)\s*::\s*", text):
        if text[:match.start()].rstrip().endswith("::"):
            continue        # the tail of super::super::, taken with its head
        base, at = (), match.end()
        if match[1] == "super":
            base = module + inline_modules(text, match.start())
            base = base[:-1]
            while again := re.compile(r"super\s*::\s*").match(text, at):
                base, at = base[:-1], again.end()
        for tail in use_tree(text, at):
            yield base + tail


def inline_modules(text, at):
    """The `mod name { … }` blocks of the file that surround a place in it."""
    depth, opened = 0, []
    for match in re.finditer(r"\bmod\s+(\w+)\s*\{|[{}]", text[:at]):
        if match[0] == "}":
            depth -= 1
            if opened and opened[-1][1] == depth:
                opened.pop()
        else:
            if match[1]:
                opened.append((match[1], depth))
            depth += 1
    return tuple(name for name, _ in opened)


def use_tree(text, at):
    """The paths of `a::{b, c::d}` beginning at a place of the text."""
    match = re.compile(r"\s*(?:r#)?(\w+|\*)\s*").match(text, at)
    if match:
        name, at = (match[1],), match.end()
        if text.startswith("::", at) and re.compile(r"::\s*[\w{*]").match(text, at):
            for tail in use_tree(text, at + 2):
                yield name + tail
        else:
            yield name
        return
    match = re.compile(r"\s*\{").match(text, at)
    if match:
        for start in branches(text, match.end()):
            yield from use_tree(text, start)


def branches(text, at):
    """Where each comma-separated branch of a brace group begins."""
    depth, starts = 0, [at]
    while at < len(text):
        if text[at] == "{":
            depth += 1
        elif text[at] == "}":
            if depth == 0:
                break
            depth -= 1
        elif text[at] == "," and depth == 0:
            starts.append(at + 1)
        at += 1
    return [start for start in starts if not re.compile(r"\s*\}").match(text, start)]


# --- other laws ---

def locks(sources):
    for path, text in sorted(sources.items(), key=lambda item: str(item[0])):
        if relative(path).startswith(LOCKS_BANNED + "/"):
            for lock in sorted(set(re.findall(r"\b(?:Mutex|RwLock)\b", text))):
                yield f"{relative(path)}: {lock} in the agent; threads share mailboxes, snapshots and counters only"


def impure(packages):
    for name in PURE:
        if name in packages:
            path = ROOT / packages[name][0] / "src/lib.rs"
            if not path.exists() or "#![forbid(unsafe_code)]" not in path.read_text():
                yield f"{relative(path)}: {name} is pure and must say #![forbid(unsafe_code)]"


def citations():
    for path in [ROOT / "README.md", *sorted((ROOT / "doc").rglob("*.md"))]:
        if path.exists():
            yield from cited(relative(path), path.read_text())


def cited(name, text):
    for match in LINE_CITATION.finditer(text):
        yield f"{name}: cites a line number ({match[0]}); name the file and the symbol"


# --- reports ---

def long_files():
    for path in text_files(".rs", ".c", ".h", ".py"):
        length = path.read_text().count("\n")
        if length > LONG_FILE:
            yield f"{relative(path)}: {length} lines"


def long_functions(sources):
    for path, text in sorted(sources.items()):
        for match in re.finditer(r"\bfn\s+(\w+)", text):
            opened = re.compile(r"[^;{]*\{").match(text, match.end())
            if opened:
                length = text.count("\n", match.start(), closing(text, opened.end())) + 1
                if length > LONG_FUNCTION:
                    yield f"{relative(path)}: fn {match[1]} has {length} lines"


def closing(text, at):
    depth = 1
    for match in re.compile(r"[{}]").finditer(text, at):
        depth += 1 if match[0] == "{" else -1
        if depth == 0:
            return match.end()
    return len(text)


def scattered_crates(packages, sources):
    ours = set(packages)
    foreign = {name for _, kinds in packages.values() for name in kinds.get("normal", set())} - ours - EVERYWHERE
    for crate in sorted(foreign):
        named = re.compile(rf"\b{crate.replace('-', '_')}\s*::")
        files = [relative(path) for path, text in sorted(sources.items())
                 if named.search(text) and not re.search(r"(^|/)tests?/", relative(path))]
        if len(files) > 1:
            yield f"{crate} is named in {len(files)} files: {', '.join(files)}"


def placeholders():
    for path in text_files(".rs", ".c", ".h", ".py"):
        if path.name in ("check_layers.py", "test_check_layers.py"):
            continue
        for match in PLACEHOLDER.finditer(path.read_text()):
            yield f"{relative(path)}: placeholder {match[0]}"


# --- reading ---

def rust_files():
    return [path for path in text_files(".rs")]


def text_files(*suffixes):
    found = []
    for folder, folders, files in os.walk(ROOT):
        folders[:] = [name for name in folders if name not in SKIPPED_FOLDERS]
        found += [Path(folder, name) for name in files if name.endswith(suffixes)]
    return sorted(found)


def relative(path):
    path = Path(path)
    return str(path.relative_to(ROOT)) if path.is_absolute() else str(path)


CODE = re.compile(r"""
    //[^\n]*                                        # comments
  | /\*.*?\*/
  | \bb?r(?P<hashes>\#*)".*?"(?P=hashes)            # raw strings
  | \bb?"(?:\\.|[^"\\])*"                           # strings
  | "(?:\\.|[^"\\])*"
  | b?'(?:\\[^\n]{1,10}?|[^\\'\n])'                 # characters, not lifetimes
""", re.X | re.S)


def code(text):
    """Rust source with comments, strings and characters blanked, every line in its place."""
    return CODE.sub(lambda match: "\n" * match[0].count("\n") or " ", text)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
