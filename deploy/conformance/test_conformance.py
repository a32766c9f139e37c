"""Tests of what the measure is made of. python3 -m unittest, in this directory."""

import os
import tempfile
import unittest
from types import SimpleNamespace

import pytest_outcomes
import report
import suite


def phase(when, outcome, longrepr=None):
    return SimpleNamespace(when=when, failed=outcome == "failed", skipped=outcome == "skipped", longrepr=longrepr, duration=0.5)


class Judge(unittest.TestCase):
    def test_a_failed_teardown_is_a_failure(self):
        outcome, why = pytest_outcomes.judge([phase("setup", "passed"), phase("call", "passed"), phase("teardown", "failed", "bucket left\nmore")])
        self.assertEqual((outcome, why), ("failed", "bucket left"))

    def test_a_skip_keeps_its_reason(self):
        self.assertEqual(pytest_outcomes.judge([phase("setup", "skipped", ("file", 1, "not here")), phase("teardown", "passed")]), ("skipped", "not here"))

    def test_all_phases_passed(self):
        self.assertEqual(pytest_outcomes.judge([phase(w, "passed") for w in ("setup", "call", "teardown")]), ("passed", ""))


class Compare(unittest.TestCase):
    straight = {"a": ("passed", 1, ""), "b": ("passed", 1, ""), "c": ("failed", 1, "x"), "d": ("skipped", 0, ""), "e": ("passed", 1, "")}
    through = {"a": ("passed", 1, ""), "b": ("skipped", 1, "why"), "c": ("passed", 1, ""), "d": ("failed", 0, "y"), "f": ("passed", 1, "")}

    def test_only_what_both_ran_counts(self):
        c = report.compare(self.straight, self.through)
        self.assertEqual((c.straight_passed, c.through_passed), (2, 2))

    def test_a_skip_loses_a_test_that_passed(self):
        c = report.compare(self.straight, self.through)
        self.assertEqual((c.lost, c.gained), (("b",), ("c",)))

    def test_runs_are_read_back_as_written(self):
        with tempfile.TemporaryDirectory() as tmp:
            path = os.path.join(tmp, "run.tsv")
            report.write_run(path, self.through)
            self.assertEqual(report.read_run(path), {k: (v[0], float(v[1]), v[2]) for k, v in self.through.items()})


class Accepted(unittest.TestCase):
    def test_every_exception_has_a_reason(self):
        accepted = report.read_accepted(os.path.join(suite.HERE, "accepted.tsv"))
        self.assertTrue(accepted)
        for name, reason in accepted.items():
            self.assertRegex(name, r"^test_\w+\.py::test_\w+")
            self.assertGreater(len(reason), 20, name)


if __name__ == "__main__":
    unittest.main()
