"""What the two runs say of each other."""

import csv
import os
from dataclasses import dataclass


@dataclass(frozen=True)
class Comparison:
    straight_passed: int
    through_passed: int
    lost: tuple  # names: passed straight, not through
    gained: tuple  # names: passed through, not straight


def compare(straight, through):
    """Compares two runs, {name: (outcome, seconds, why)}, over the tests that both ran."""
    both = sorted(straight.keys() & through.keys())
    passed = {name: (straight[name][0] == "passed", through[name][0] == "passed") for name in both}
    return Comparison(
        straight_passed=sum(s for s, _ in passed.values()),
        through_passed=sum(t for _, t in passed.values()),
        lost=tuple(n for n in both if passed[n] == (True, False)),
        gained=tuple(n for n in both if passed[n] == (False, True)),
    )


def write_run(path, outcomes):
    """NAME, OUTCOME, SECONDS, WHY of each test, sorted by name."""
    _write(path, ([name, o[0], f"{o[1]:.1f}", o[2]] for name, o in sorted(outcomes.items())))


def read_run(path):
    """What write_run wrote; files with the first two columns alone are read too."""
    with open(path, encoding="utf-8", newline="") as f:
        rows = list(csv.reader(f, delimiter="\t", quoting=csv.QUOTE_NONE))
    return {r[0]: (r[1], float(r[2]) if len(r) > 2 else 0.0, r[3] if len(r) > 3 else "") for r in rows if r}


def write_differences(path, comparison, straight, through):
    """VERDICT, NAME, WHY of each test that ended differently; why is the reason of the run that did not pass it."""
    rows = [["lost", n, through[n][2]] for n in comparison.lost] + [["gained", n, straight[n][2]] for n in comparison.gained]
    _write(path, rows)


def _write(path, rows):
    with open(path, "w", encoding="utf-8") as f:
        f.writelines("\t".join(row) + "\n" for row in rows)


def read_accepted(path):
    """The tests that may be lost, {name: reason}: lines NAME, REASON; "#" begins a comment."""
    accepted = {}
    if os.path.exists(path):
        with open(path, encoding="utf-8") as f:
            for line in f:
                if line.strip() and not line.startswith("#"):
                    name, reason = line.rstrip("\n").split("\t", 1)
                    accepted[name] = reason
    return accepted


def summary(comparison, accepted):
    """The lines that are printed."""
    lines = [f"straight passed  {comparison.straight_passed}", f"through passed   {comparison.through_passed}",
             f"lost             {len(comparison.lost)}", f"gained           {len(comparison.gained)}", ""]
    for name in comparison.lost:
        lines.append(f"lost: {name}" + (f"  (accepted: {accepted[name]})" if name in accepted else ""))
    lines += [f"gained: {name}" for name in comparison.gained]
    return "\n".join(lines)
