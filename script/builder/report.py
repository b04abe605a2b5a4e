"""The one table of all benchmarks, with the machine they ran on: `test/bench/report.md`.

Each benchmark leaves the rows of its verdicts (test/bench/rounds.py) in a folder; a run of some of them keeps the report's
rows of the others.
"""

import json
import os
import platform
import re
from datetime import date
from pathlib import Path

from .command import ROOT, output

REPORT = ROOT / "test/bench/report.md"
HEAD = "| benchmark | case | figure | value | goal | |\n|---|---|---|---|---|---|\n"


def write(folder, commit):
    """Merges the rows in `folder` into the report."""
    tables = kept()
    for path in sorted(Path(folder).glob("*.json")):
        rows = json.loads(path.read_text())
        said = f"{date.today()}, {commit}"
        tables[path.stem] = [f"| {path.stem} | {' | '.join(cell(word) for word in row)} |" for row in rows], said
    lines = [row for rows, _ in (tables[name] for name in sorted(tables)) for row in rows]
    taken = "".join(f"- {name}: {said}\n" for name, (_, said) in sorted(tables.items()))
    REPORT.write_text(f"# What the benchmarks measured\n\nMade by `./build.py bench`, which runs every `test/bench/*/run.py`. "
                      "A figure is the median over the\nrounds of the ratio within a round, both sides run in turn in the "
                      f"same run.\n\n## The machine\n\n{machine()}\n## When\n\n{taken}\n## Figures\n\n{HEAD}" + "\n".join(lines) + "\n")


def kept():
    """Benchmark -> (its rows, when) of the report as it is."""
    text = REPORT.read_text() if REPORT.exists() else ""
    tables = {name: ([], said) for name, said in re.findall(r"^- (\w+): (\d{4}-.*)$", text, re.M)}
    for line in text.splitlines():
        if (match := re.match(r"\| (\w+) \| ", line)) and match[1] in tables:
            tables[match[1]][0].append(line)
    return tables


def cell(word):
    return str(word).replace("|", "\\|")


def machine():
    cpu = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.M)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    facts = {
        "processor": f"{cpu[1] if cpu else platform.machine()}, {os.cpu_count()} of its threads",
        "memory": f"{memory:.0f} GiB",
        "kernel": f"{platform.system()} {platform.release()}",
        "C library": " ".join(platform.libc_ver()),
        "compilers": ", ".join(filter(None, (first("gcc", "--version"), first("rustc", "--version")))),
    }
    return "".join(f"- {name}: {fact}\n" for name, fact in facts.items())


def first(*command):
    return (output(command) or "").partition("\n")[0]
