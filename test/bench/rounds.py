"""Rounds, ratios and goals: how the benchmarks compare, and what they print.

Every round runs each broker once, in turn, under the same load; what is compared is the median over the rounds of the
ratio within a round, so that a slow minute of the machine hits all of them.
"""

import json
import os
import statistics
import sys
from dataclasses import dataclass
from pathlib import Path


def interleaved(names, measure, rounds):
    """{name: [result of round 0, …]}; a result is a dictionary, or None where the broker did not get through."""
    results = {name: [] for name in names}
    for turn in range(rounds):
        # Nobody is always the one who runs after the caches were cooled by another.
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            results[name].append(measure(name))
    return results


def ratio(results, key, ours, theirs):
    """The median of the ratios within a round; None when no round has both."""
    pairs = [(a[key], b[key]) for a, b in zip(results[ours], results[theirs]) if a and b and a.get(key) and b.get(key)]
    return statistics.median(a / b for a, b in pairs) if pairs else None


def middle(results, name, key):
    values = [result[key] for result in results.get(name, ()) if result and key in result]
    return statistics.median(values) if values else None


def total(results, name, key):
    return sum(result.get(key, 0) for result in results.get(name, ()) if result)


def faults(results, name):
    """Answers that were not right, by kind, as far as there were any."""
    counts = {key: total(results, name, key) for key in ("wrong", "refused", "lost")}
    return {key: count for key, count in counts.items() if count}


def report(case, results):
    """Prints what was measured: medians over the rounds, and faults if there were any."""
    print(f"\n{case}:")
    for name, rounds in results.items():
        dead = sum(result is None for result in rounds)
        if dead == len(rounds):
            print(f"  {name:16} did not get through", flush=True)
            continue
        numbers = [middle(results, name, key) or 0 for key in ("rate", "p50_us", "p99_us", "p999_us", "cpu_us")]
        line = "  {:16} {:9.0f} calls/s  p50 {:7.1f}  p99 {:8.1f}  p99.9 {:8.1f} us  broker cpu {:6.2f} us/call"
        notes = [f"{count} {key}" for key, count in faults(results, name).items()]
        notes += [f"did not get through {dead} of {len(rounds)} rounds"] if dead else []
        print("  ".join([line.format(name, *numbers), ", ".join(notes)]).rstrip(), flush=True)


@dataclass(frozen=True)
class Goal:
    """`ours` divided by `theirs`, in `key`: at least `least`, or below `below`, or only to be looked at."""

    key: str
    ours: str
    theirs: str
    least: float | None = None
    below: float | None = None

    def wish(self):
        if self.least is not None:
            return f">= {self.least:g}"
        return f"< {self.below:g}" if self.below is not None else "-"

    def met(self, value):
        if self.least is not None:
            return value is not None and value >= self.least
        return self.below is None or (value is not None and value < self.below)


class Verdicts:
    """The table of ratios that a benchmark ends with, and what was missed in it."""

    def __init__(self):
        self.rows, self.missed = [], []

    def judge(self, case, results, goals):
        for goal in goals:
            value = ratio(results, goal.key, goal.ours, goal.theirs)
            what = f"{goal.key} {goal.ours} / {goal.theirs}"
            self.note(case, what, "none" if value is None else f"{value:.2f}", goal.wish(), goal.met(value))

    def note(self, case, what, value, wish, met):
        self.rows.append((case, what, value, wish, "" if met else "MISSED"))
        if not met:
            self.missed.append(f"{case}: {what} is {value}, wanted {wish}")

    def demand_right_answers(self, case, results, name):
        wrong = faults(results, name)
        value = ", ".join(f"{count} {key}" for key, count in wrong.items()) or "all right"
        self.note(case, f"answers of {name}", value, "all right", not wrong)

    def print(self):
        """The table, then a line for each missed goal; the exit code that is due."""
        widths = [max(len(row[column]) for row in self.rows) for column in range(4)]
        for case, what, value, wish, verdict in self.rows:
            line = f"{case:{widths[0]}}  {what:{widths[1]}}  {value:>{widths[2]}}  {wish:{widths[3]}}  {verdict}"
            print(line.rstrip())
        for line in self.missed:
            print(f"MISSED {line}")
        self.keep()
        return 1 if self.missed else 0

    def keep(self):
        """For the one table that `build.py bench` makes of all benchmarks."""
        if folder := os.environ.get("MSF_BENCH_ROWS"):
            Path(folder, f"{Path(sys.argv[0]).resolve().parent.name}.json").write_text(json.dumps(self.rows))
