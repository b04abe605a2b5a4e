"""Proof that the comparisons compare: every entry is changed alone, in a copy, and has to be missed."""

import os
import re
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path

from .compare import Abi, LIBRARIES, defined, library_of

# How many changes of one kind are tried: each costs a run of the compiler.
MOST = 40


def self_test(include, ffi, stage, tally):
    with tempfile.TemporaryDirectory() as folder:
        probe = Probe(include, ffi, stage, Path(folder), tally)
        probe.unchanged()
        probe.headers()
        probe.mirror()
        probe.symbols()


class Probe:
    """The originals, a folder for changed copies, and a count per kind of change."""

    def __init__(self, include, ffi, stage, folder, tally):
        self.include, self.ffi, self.stage = include, ffi, stage
        self.folder, self.tally = folder, tally
        self.abi = Abi(include, ffi)

    def unchanged(self):
        self.tally.compared("unchanged copies agree", self.abi.prototypes("gcc") + self.abi.names())

    def headers(self):
        """Every prototype, variable, constant and struct member of the headers."""
        functions, variables = flat(self.abi.headers.functions), flat(self.abi.headers.variables)
        macros, enumerators = self.abi.headers.macros, self.abi.headers.enumerators()
        types, names = self.header_types, self.header_names
        self.each("header: a function of another type", self.include, functions, another_result, types)
        self.each("header: a variable of another type", self.include, variables, another_variable, types)
        self.each("header: a name of its own", self.include, functions | variables, renamed, names)
        self.each("header: a number changed", self.include, numbers(macros), another_number, types)
        self.each("header: a text changed", self.include, texts(macros), another_text, names)
        self.each("header: an enumerator changed", self.include, enumerators, another_enumerator, types)
        self.each("header: a member swapped with the next", self.include, self.members(), swapped_member, types)

    def mirror(self):
        """Every function, variable and constant of the mirror."""
        mirrors = self.abi.mirrors.values()
        functions = {name for mirror in mirrors for name in mirror.functions}
        variables = {name for mirror in mirrors for name in mirror.variables}
        constants = {name: kind for mirror in mirrors for name, (kind, _) in mirror.constants.items()}
        number = {name for name, kind in constants.items() if kind != "&CStr"}
        types, names = self.mirror_types, self.mirror_names
        self.each("mirror: a function of another type", self.ffi, functions, another_rust_result, types)
        self.each("mirror: a variable of another type", self.ffi, variables, another_rust_variable, types)
        self.each("mirror: a name of its own", self.ffi, functions | variables, renamed_rust, names)
        self.each("mirror: a number changed", self.ffi, number, another_rust_number, types)
        self.each("mirror: a text changed", self.ffi, set(constants) - number, another_rust_text, names)

    def symbols(self):
        """Every symbol missing; one more; a function where a variable should be."""
        for library in LIBRARIES:
            functions, variables = self.exported(library)
            changes = [(functions - {name}, variables, name) for name in sample(functions)]
            changes += [(functions, variables - {name}, name) for name in variables]
            changes += [(functions | {"msf_not_declared"}, variables, "msf_not_declared"),
                        (functions, variables | {"msf_not_declared"}, "msf_not_declared")]
            changes += [(functions | {name}, variables - {name}, name) for name in variables]
            original = self.folder / library
            original.mkdir()
            for other in LIBRARIES:
                library_of(*self.exported(other), original / f"lib{other}.so")

            def unseen(change, library=library, original=original):
                functions, variables, name = change
                with tempfile.TemporaryDirectory(dir=self.folder) as copy:
                    shutil.copytree(original, copy, dirs_exist_ok=True)
                    library_of(functions, variables, Path(copy, f"lib{library}.so"))
                    noticed = any(f" {name}:" in sentence for sentence in self.abi.symbols(copy))
                return None if noticed else f"{name}: the change went unnoticed"

            wrong = self.abi.symbols(original) + each_of(unseen, changes)
            self.tally.compared(f"symbols of lib{library}.so: {len(changes)} changes, each alone", wrong)

    def exported(self, library):
        if self.stage:
            return defined(Path(self.stage, f"lib{library}.so"))
        return self.abi.headers.functions[library], self.abi.headers.variables[library]

    def members(self):
        """Struct members with a neighbour of another type to be swapped with, both declared on lines of their own."""
        text = "".join(path.read_text() for path in sorted(Path(self.include).glob("*.h")))
        found = set()
        for mirror in self.abi.mirrors.values():
            for struct, (_, fields) in mirror.structs.items():
                body = re.search(rf"struct {struct} \{{\n(.*?)^\}}", text, re.S | re.M)
                alone = set(re.findall(r"^ +[^,;\n]*?\b(\w+)(?:\[\w+\])?;", body[1], re.M)) if body else set()
                found |= {(struct, name, after) for (name, kind), (after, other) in zip(fields, fields[1:])
                          if kind != other and {name, after} <= alone}
        return found

    def each(self, title, original, names, change, judge):
        """Applies `change` for one name at a time and wants a complaint that has the name in it."""
        def unseen(name):
            with tempfile.TemporaryDirectory(dir=self.folder) as copy:
                shutil.copytree(original, copy, dirs_exist_ok=True)
                if not changed(Path(copy), name, change):
                    return f"{name}: nothing to change was found"
                wrong = judge(copy)
                words = [name] if isinstance(name, str) else name[1:]
                noticed = any(word in sentence for word in words for sentence in wrong)
                return None if noticed else f"{name}: the change went unnoticed"

        chosen = sample(names)
        wrong = each_of(unseen, chosen)
        self.tally.compared(f"{title}: {len(chosen)} of {len(names)} changes, each alone", wrong or empty(names))

    # What a changed copy is held against. The half that did not change is not read again.
    def header_types(self, copy):
        return Abi(copy, self.abi.mirrors).prototypes("gcc")

    def header_names(self, copy):
        return Abi(copy, self.abi.mirrors).names()

    def mirror_types(self, copy):
        return Abi(self.abi.headers, copy).prototypes("gcc")

    def mirror_names(self, copy):
        return Abi(self.abi.headers, copy).names()


def each_of(unseen, changes):
    """What went unnoticed; several are tried at once."""
    with ThreadPoolExecutor(os.cpu_count()) as workers:
        return list(filter(None, workers.map(unseen, changes)))


def sample(names):
    """All of a few names, else every n-th, beginning elsewhere each day; MSF_SELF_TEST=all asks for each of them."""
    names = sorted(names)
    step = 1 if os.environ.get("MSF_SELF_TEST") == "all" else -(-len(names) // MOST)
    return names[date.today().toordinal() % step::step] if names else []


def empty(names):
    return [] if names else ["nothing to change"]


def changed(folder, name, change):
    """Changes the first file the pattern is found in."""
    pattern, replacement = change(name)
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        text, count = re.subn(pattern, replacement, path.read_text(), count=1, flags=re.M | re.S)
        if count:
            path.write_text(text)
            return True
    return False


def flat(by_library):
    return set().union(*by_library.values())


def numbers(macros):
    return {name for name, value in macros.items() if not value.startswith('"')}


def texts(macros):
    return {name for name, value in macros.items() if value.startswith('"')}


def another_result(name):
    return rf"^MSF_EXPORT [^;(]*?\b{name}\(", f"MSF_EXPORT struct another *{name}("


def another_variable(name):
    return rf"^MSF_EXPORT extern [^;(]*?\b{name};", f"MSF_EXPORT extern s32 {name};"


def renamed(name):
    return rf"^(MSF_EXPORT [^;(]*?)\b{name}\b", rf"\1{name}_another"


def another_number(name):
    return rf"^#define {name} (.+?)( *(?:/\*.*?\*/)?)$", rf"#define {name} (\1 + 1)\2"


def another_text(name):
    return rf"^#define {name} \"", rf'#define {name} "x'


def another_enumerator(name):
    return rf"\b{name} = (-?\w+)", rf"{name} = \1 + 32"


def swapped_member(member):
    struct, name, after = member
    line = r"[^\n]*?\b{}\b(?:\[\w+\])?;[^\n]*\n"
    return (rf"^((?:typedef )?struct {struct} \{{\n.*?)((?:^ +[^\n]*\n)??)(^ +{line.format(name)})((?:^ +[^;\n]*\n)*?)"
            rf"(^ +{line.format(after)})", r"\1\2\5\4\3")


def another_rust_result(name):
    return rf"(pub fn {name}\(.*?\))( -> [^;()]*)?;", r"\1 -> *mut list_head;"


def another_rust_variable(name):
    return rf"pub static mut {name}: [^;]*;", f"pub static mut {name}: *mut c_int;"


def renamed_rust(name):
    return rf"pub (fn|static mut) {name}\b", rf"pub \1 {name}_another"


def another_rust_number(name):
    return rf"pub const {name}: ([^=]*) = ([^;]*);", rf"pub const {name}: \1 = \2 + 1;"


def another_rust_text(name):
    return rf"pub const {name}: &CStr = c\"", rf'pub const {name}: &CStr = c"x'
