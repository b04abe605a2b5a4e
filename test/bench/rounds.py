"""Rounds, ratios and goals: how the benchmarks compare, and what they print.

Every round runs each broker once, in turn, under the same load; what is compared is the median over the rounds of the
ratio within a round, so that a slow minute of the machine hits all of them.
"""

import statistics
from dataclasses import dataclass


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

    def print(self):
        widths = [max(len(row[column]) for row in self.rows) for column in range(4)]
        for case, what, value, wish, verdict in self.rows:
            line = f"{case:{widths[0]}}  {what:{widths[1]}}  {value:>{widths[2]}}  {wish:{widths[3]}}  {verdict}"
            print(line.rstrip())
        for line in self.missed:
            print(f"MISSED {line}")
        return 1 if self.missed else 0
