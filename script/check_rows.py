#!/usr/bin/env python3
"""test/c/README.md says which C program tests what: no function, no name of 2019, no documented failure is missing there.
doc/abi.md names every function, too.

    script/check_rows.py        exit status 1 when a row is missing, or says what its test does not do

A row is `| names | programs | failures |` in the section of its header. Every name occurs in one of the programs, and every
failure in a statement of one of them together with a name of the row. What follows `not shown:` is exempt, with its reason.
"""

import re
import sys
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "script"))

from abi.headers import Headers, run                                    # noqa: E402

FOLDER = ROOT / "test/c"
CODE = re.compile(r"\bE[A-Z0-9]{2,}\b")
# What every function answers in a second copy of libmsf; tested once for all (instance_second_copy.c).
GENERAL = {"EALREADY"}


@dataclass
class Row:
    header: str
    names: list
    programs: list
    shown: set
    exempt: set = field(default_factory=set)


def main():
    headers = Headers(ROOT / "include")
    rows = read((FOLDER / "README.md").read_text())
    wrong = [*missing(rows, headers), *unknown_of_2019(headers), *unproven(rows), *undocumented(rows)]
    wrong = [f"test/c/README.md: {sentence}" for sentence in wrong]
    wrong += [f"doc/abi.md: {name}: declared, but not named"
              for name in unnamed((ROOT / "doc/abi.md").read_text(), headers.functions["msf"])]
    for sentence in wrong:
        print(sentence)
    count = sum(len(row.names) for row in rows)
    print(f"{count} names in {len(rows)} rows: " + (f"{len(wrong)} wrong" if wrong else "each has its test"))
    return 1 if wrong else 0


def read(text):
    rows, header = [], None
    for line in text.splitlines():
        if match := re.match(r"#+ .*?(\w+\.h)", line):
            header = match[1]
        elif line.startswith("#"):
            header = None
        elif header and line.startswith("| `"):
            names, programs, failures = (cell.strip() for cell in line.strip("|").split("|")[:3])
            shown, _, exempt = failures.partition("not shown:")
            rows.append(Row(header, re.findall(r"`([^`]+)`", names), re.findall(r"`([^`]+)`", programs),
                            set(re.findall(r"`([^`]+)`", shown)), set(re.findall(r"`([^`]+)`", exempt))))
    return rows


def missing(rows, headers):
    named = {name for row in rows for name in row.names}
    for name in sorted(headers.functions["msf"] - named):
        yield f"{name}: declared, but in no row"
    for name in sorted(set(names_of_2019()) - named):
        yield f"{name}: of 2019, but in no row"


def unnamed(text, functions):
    """Functions that no row of the tables names: whole, by a pattern (`rb_*`), by their end (`_free` behind `rb_new`), or
    between two (`rb_create` ... `rb_cleanup`)."""
    patterns = set()
    for row in re.findall(r"^\|[^|]*\.h`[^|]*\|([^|]*)\|", text, re.M):
        words = re.findall(r"`([\w*]+)`", row)
        whole = [word for word in words if not word.startswith("_")]
        ends = [word for word in words if word.startswith("_")]
        starts = {word[:at.start()] for word in whole for at in re.finditer("_", word)} | set(whole)
        patterns |= set(whole) | {start + end for start in starts for end in ends}
        patterns |= {f"{word}*" for word in re.findall(r"`([a-z]+_)\w+` \.\.\. `", row)}
    plain = {pattern for pattern in patterns if "*" not in pattern}
    globs = patterns - plain
    return sorted(name for name in functions - plain if not any(fnmatchcase(name, glob) for glob in globs))


def unknown_of_2019(headers):
    """Names of 2019 that no header of ours declares or defines."""
    source = headers.includes()
    command = [headers.cc, "-std=gnu11", "-D_GNU_SOURCE", f"-I{headers.folder}", "-E", "-dD", "-x", "c", "-"]
    here, words = False, set()
    for line in run(command, input=source).splitlines():
        if marker := re.match(r'# \d+ "(.*?)"', line):
            here = headers.ours(marker[1])
        elif here:
            words |= set(re.findall(r"\w+", line))
    for name in names_of_2019():
        if name not in words:
            yield f"{name}: of 2019, but in no header"


def names_of_2019():
    lines = (line.split("#")[0] for line in (FOLDER / "names_of_2019.txt").read_text().splitlines())
    return [name for line in lines for name in line.split()]


def unproven(rows):
    for row in rows:
        text = "".join(source(name) for name in row.programs if (FOLDER / name).exists())
        for program in row.programs:
            if not (FOLDER / program).exists():
                yield f"{row.header}: there is no {program}"
        for name in row.names:
            if not re.search(rf"\b{name}\b", text):
                yield f"{name}: does not occur in {', '.join(row.programs) or 'any program'}"
        statements = re.split(r"[;{}]", text)
        for code in row.shown:
            whole = re.compile(rf"(?<!\w){re.escape(code)}(?!\w)")
            if not any(whole.search(part) and any(re.search(rf"\b{name}\b", part) for name in row.names)
                       for part in statements):
                yield f"{' '.join(row.names)}: {code} is shown in no statement of {', '.join(row.programs)}"


def source(name):
    return re.sub(r"/\*.*?\*/", " ", (FOLDER / name).read_text(), flags=re.S)


def undocumented(rows):
    """Failures that the header promises and the row passes over."""
    for path in sorted((ROOT / "include").glob("msf*.h")):
        for name, codes in promised(path.read_text()).items():
            said = {code for row in rows if name in row.names for code in row.shown | row.exempt}
            for code in sorted(codes - said - GENERAL):
                yield f"{name}: {path.name} promises {code}, which its row passes over"


def promised(text):
    """Function -> errno names in the comment above it (and above those that follow without a comment of their own)."""
    found, comment = {}, ""
    for match in re.finditer(r"/\*(.*?)\*/|MSF_EXPORT\s([^;{]*?)\b(\w+)\(", text, re.S):
        if match[3]:
            found[match[3]] = set(CODE.findall(comment))
        else:
            comment = match[1]
    return found


if __name__ == "__main__":
    sys.exit(main())
