#!/usr/bin/env python3
"""The licences of everything that is linked, against the list of deny.toml; and the crates deny.toml bans.

usage: script/check_licences.py

For machines without cargo-deny, whose `licenses` and `bans` checks this repeats. Advisories need its database.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main():
    deny = (ROOT / "deny.toml").read_text()
    allowed, banned = listed(deny, "allow"), listed(deny, "deny")
    packages = linked()
    refused = [f"{package['name']} {package['version']}: licence {package['license']!r} is not in deny.toml"
               for package in packages if not acceptable(package["license"] or "", allowed)]
    refused += [f"{package['name']} {package['version']} is banned in deny.toml"
                for package in packages if package["name"] in banned]
    refused += [f"{package['name']} {package['version']} comes from {package['source']}"
                for package in packages if package["source"] and not package["source"].startswith("registry+")]
    for line in refused:
        print(f"refused: {line}")
    print(f"{len(packages)} crates: " + (f"{len(refused)} refused" if refused else "all licences are in the list"))
    return 1 if refused else 0


def listed(text, key):
    """The strings of `key = [ … ]`."""
    found = re.search(rf"^{key} = \[(.*?)\]", text, re.M | re.S)
    return set(re.findall(r'"([^"]+)"', found[1]))


def linked():
    """Every package of the lock file's graph that a Linux build uses."""
    done = subprocess.run(["cargo", "metadata", "--format-version", "1", "--all-features",
                           "--filter-platform", "x86_64-unknown-linux-gnu"],
                          cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    graph = json.loads(done.stdout)
    used = {node["id"] for node in graph["resolve"]["nodes"]}
    return sorted((package for package in graph["packages"] if package["id"] in used), key=lambda one: one["name"])


def acceptable(expression, allowed):
    """An SPDX expression: OR needs one acceptable side, AND both; `/` is the old spelling of OR."""
    words = re.findall(r"\(|\)|[^\s()]+", re.sub(r"\s*/\s*", " OR ", expression))

    def either():
        verdict = both()
        while words and words[0] == "OR":
            words.pop(0)
            verdict = both() or verdict
        return verdict

    def both():
        verdict = one()
        while words and words[0] == "AND":
            words.pop(0)
            verdict = one() and verdict
        return verdict

    def one():
        if not words:
            return False
        word = words.pop(0)
        if word == "(":
            verdict = either()
            if words:
                words.pop(0)
            return verdict
        if words and words[0] == "WITH":
            words.pop(0)
            exception = words.pop(0) if words else ""
            return f"{word} WITH {exception}" in allowed or word in allowed
        return word in allowed

    return either() and not words


if __name__ == "__main__":
    sys.exit(main())
