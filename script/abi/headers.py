"""The C headers, read through the compiler: what they declare, and the text of their constants.

Functions are what gcc itself lists (-aux-info), so no pattern of ours has to understand a prototype.
"""

import re
import subprocess
import tempfile
from functools import cached_property
from pathlib import Path

# Headers of libipc; all the others are libmsf's.
IPC = {"client.h", "conn.h", "protocol.h", "nmid_client.h", "nmid_worker.h"}
# Words that C++ and C23 own; the header only lends them to C11.
LANGUAGE = {"true", "false"}

INTEGER = re.compile(r"^[\s()+*/-]*(?:\(u32\)\s*-?\s*)?(?:0[xX][0-9a-fA-F]+|\d+)[uUlL]*(?:[\s()+*/-]*(?:0[xX][0-9a-fA-F]+|\d+)[uUlL]*)*[\s()]*$")
STRING = re.compile(r'^"[^"]*"$')


class Broken(Exception):
    """The compiler refused; the text is what it said."""


def run(command, **how):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, **how)
    if done.returncode != 0:
        raise Broken(f"{' '.join(map(str, command))}\n{done.stderr.strip()}")
    return done.stdout


class Headers:
    """A folder of headers, seen by one compiler."""

    def __init__(self, folder, cc="gcc"):
        self.folder = Path(folder).resolve()
        self.cc = cc
        self.files = sorted(path.name for path in self.folder.glob("*.h"))
        if not self.files:
            raise Broken(f"{self.folder}: no header there")

    def includes(self):
        return "".join(f"#include <{name}>\n" for name in self.files)

    @cached_property
    def functions(self):
        """Library -> names of declared functions (static inline ones are the header's own)."""
        found = {"msf": set(), "ipc": set()}
        with tempfile.TemporaryDirectory() as folder:
            info = Path(folder, "info")
            # stdin has no name of its own, so every line with a path is of a header.
            run([self.cc, "-std=gnu11", f"-I{self.folder}", "-fsyntax-only", "-aux-info", info, "-x", "c", "-"],
                input=self.includes())
            for line in info.read_text().splitlines():
                match = re.match(r"/\* (.+?):\d+:\w+ \*/ (.*?)(\w+) \(.*\);", line)
                if match and self.ours(match[1]) and not match[2].startswith("static"):
                    found[self.library(match[1])].add(match[3])
        return found

    @cached_property
    def variables(self):
        """Library -> names of declared variables."""
        found = {"msf": set(), "ipc": set()}
        for name, text in self.text.items():
            text = re.sub(r"__attribute__\s*\(\(.*?\)\)\)?", "", text)
            for match in re.finditer(r"\bextern\s+[^;{}()\"]*?(\w+)\s*;", text):
                found[self.library(name)].add(match[1])
        return found

    def enumerators(self):
        names = set()
        for text in self.text.values():
            for body in re.findall(r"\benum\b[^;{}()]*\{(.*?)\}", text, re.S):
                names |= {part.split("=")[0].strip() for part in body.split(",") if part.strip()}
        return names

    def structs(self):
        """Names of structs: of those with members, and of those only named."""
        full, named = set(), set()
        for text in self.text.values():
            full |= set(re.findall(r"\bstruct\s+(\w+)\s*\{", text))
            named |= set(re.findall(r"^\s*struct\s+(\w+)\s*;", text, re.M))
        return full, named - full

    def enums(self):
        return {name for text in self.text.values() for name in re.findall(r"\benum\s+(\w+)\s*\{", text)}

    def function_types(self):
        return {name for text in self.text.values() for name in re.findall(r"typedef[^;]*\(\*(\w+)\)\s*\(", text)}

    @cached_property
    def macros(self):
        """Macros that are a number or a text: name -> what stands in the header."""
        found = {}
        marked = run([self.cc, "-std=gnu11", "-DMSF_NO_LOG_COLORS", f"-I{self.folder}", "-E", "-dD", "-x", "c", "-"],
                     input=self.includes())
        here = False
        for line in marked.splitlines():
            marker = re.match(r'# \d+ "(.*?)"', line)
            if marker:
                here = self.ours(marker[1])
            elif here and (define := re.match(r"#define (\w+) (.+)$", line)):
                name, value = define[1], define[2].strip()
                if name not in LANGUAGE and (INTEGER.match(value) or STRING.match(value)):
                    found[name] = value
        return found

    @cached_property
    def text(self):
        """File name -> its own text after preprocessing."""
        texts = {name: [] for name in self.files}
        output = run([self.cc, "-std=gnu11", f"-I{self.folder}", "-E", "-x", "c", "-"], input=self.includes())
        here = None
        for line in output.splitlines():
            marker = re.match(r'# \d+ "(.*?)"', line)
            if marker:
                here = Path(marker[1]).name if self.ours(marker[1]) else None
            elif here:
                texts[here].append(line)
        return {name: "\n".join(lines) for name, lines in texts.items()}

    def ours(self, path):
        return Path(path).resolve().parent == self.folder

    @staticmethod
    def library(path):
        return "ipc" if Path(path).name in IPC else "msf"
