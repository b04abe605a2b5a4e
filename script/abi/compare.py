"""The comparisons. Each returns sentences about what disagrees; none means all is well."""

import ast
import re
import subprocess
import tempfile
from pathlib import Path

from .headers import Headers, run
from .mirror import Mirror

FLAGS = ["-std=gnu11", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only", "-x", "c", "-"]
LIBRARIES = ("msf", "ipc")


class Abi:
    """Headers and mirror of one checkout (or of a changed copy of it)."""

    def __init__(self, include, ffi, cc="gcc"):
        self.headers = include if isinstance(include, Headers) else Headers(include, cc)
        self.mirrors = ffi if isinstance(ffi, dict) else {library: Mirror(Path(ffi, library)) for library in LIBRARIES}

    def prototypes(self, cc):
        """Mirror against headers, judged by the compiler: functions, variables, constants, layouts."""
        known = {name: f"struct {name}" for mirror in self.mirrors.values() for name in mirror.structs}
        known |= {name: name for mirror in self.mirrors.values() for name in mirror.types}
        lines = [line for mirror in self.mirrors.values() for line in mirror.as_c(known)]
        source = self.headers.includes() + "\n".join(lines) + "\n"
        done = subprocess.run([cc, f"-I{self.headers.folder}", *FLAGS], input=source, capture_output=True, text=True)
        if done.returncode == 0:
            return []
        return [with_source(line, source) for line in done.stderr.splitlines() if "error:" in line] or [done.stderr]

    def names(self):
        """Mirror against headers: nothing may be in one only."""
        wrong = []
        functions, variables = self.headers.functions, self.headers.variables
        for library, mirror in self.mirrors.items():
            in_functions, in_variables = mirror.names()
            wrong += differing(f"function of lib{library}.so", "headers", functions[library], "mirror", in_functions)
            wrong += differing(f"variable of lib{library}.so", "headers", variables[library], "mirror", in_variables)
        mirrored = {name: entry for mirror in self.mirrors.values() for name, entry in mirror.constants.items()}
        macros = self.headers.macros
        wrong += differing("constant", "headers", set(macros) | self.headers.enumerators(), "mirror", set(mirrored))
        wrong += self.texts(macros, mirrored) + self.types()
        return wrong

    def texts(self, macros, mirrored):
        wrong = []
        for name, (kind, value) in mirrored.items():
            text = kind == "&CStr"
            if name in macros and text != macros[name].startswith('"'):
                wrong.append(f"{name}: a text on one side, a number on the other")
            elif text and name in macros and ast.literal_eval(macros[name]) != ast.literal_eval(value[1:]):
                wrong.append(f"{name}: {macros[name]} in the headers, {value[1:]} in the mirror")
        return wrong

    def types(self):
        full, opaque = self.headers.structs()
        structs = {name: fields for mirror in self.mirrors.values() for name, (_, fields) in mirror.structs.items()}
        types = {name for mirror in self.mirrors.values() for name, kind in mirror.types.items() if "fn(" in kind}
        wrong = differing("struct", "headers", full, "mirror", {name for name, fields in structs.items() if fields})
        wrong += differing("opaque struct", "headers", opaque, "mirror",
                           {name for name, fields in structs.items() if not fields})
        wrong += differing("function type", "headers", self.headers.function_types(), "mirror", types)
        return wrong

    def symbols(self, lib):
        """What the headers declare against what the finished libraries in `lib` define."""
        functions, variables = self.headers.functions, self.headers.variables
        wrong = []
        for library in LIBRARIES:
            in_functions, in_variables = defined(Path(lib, f"lib{library}.so"))
            wrong += differing(f"function of lib{library}.so", "headers", functions[library], "symbols", in_functions)
            wrong += differing(f"variable of lib{library}.so", "headers", variables[library], "symbols", in_variables)
        return wrong


def with_source(message, source):
    """The compiler speaks of a line on stdin, which the reader cannot see."""
    place = re.match(r"<stdin>:(\d+)", message)
    return f"{message}\n         {source.splitlines()[int(place[1]) - 1]}" if place else message


def defined(library):
    """Names of the functions and of the variables a library exports; version nodes (A) are neither."""
    functions, variables = set(), set()
    for line in run(["nm", "-D", "--defined-only", library]).splitlines():
        *_, kind, name = line.split()
        name = name.split("@")[0]
        if kind in "TtWwi":
            functions.add(name)
        elif kind != "A":
            variables.add(name)
    return functions, variables


def differing(noun, one, in_one, other, in_other):
    return ([f"{noun} {name}: in the {one}, not in the {other}" for name in sorted(in_one - in_other)]
            + [f"{noun} {name}: in the {other}, not in the {one}" for name in sorted(in_other - in_one)])


def library_of(functions, variables, path, cc="gcc"):
    """A shared library that exports exactly these names; the self-test's changed copies are made so."""
    lines = [f"void {name}(void) {{}}" for name in sorted(functions)]
    lines += [f"void *{name};" for name in sorted(variables)]
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "names.c")
        source.write_text("\n".join(lines) + "\n")
        run([cc, "-w", "-fPIC", "-shared", "-nostdlib", "-o", path, source])
