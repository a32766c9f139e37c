"""A pytest plugin: writes one line for each finished test to the file that CONFORMANCE_OUTCOMES names.

The line is NAME, OUTCOME, SECONDS and the first line of the error, with tabs between. Lines come as tests end, so that a run
that is broken off keeps what it has. With xdist only the process that hears of all tests writes.
"""

import os

# Three tests are crossed with every pair of storage classes and encryptions, 744 cases; those that keep to the standard class
# say as much about a proxy.
CROSSED = ("test_copy_enc[", "test_copy_part_enc[", "test_lifecycle_transition_encrypted[")


def pytest_configure(config):
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Writer(os.environ["CONFORMANCE_OUTCOMES"]))


def pytest_collection_modifyitems(config, items):
    if os.environ.get("CONFORMANCE_MATRIX"):
        return
    left_out = [i for i in items if i.name.startswith(CROSSED) and not one_class(i.name)]
    if left_out:
        items[:] = [i for i in items if i not in left_out]
        config.hook.pytest_deselected(items=left_out)


def one_class(name):
    """Does a case of a crossed test stay within one storage class?"""
    return "STANDARD-STANDARD" in name or (name.startswith(CROSSED[2]) and "FROZEN" not in name)


class Writer:
    def __init__(self, path):
        self.file = open(path, "a", buffering=1, encoding="utf-8")
        self.reports = {}

    def pytest_runtest_logreport(self, report):
        reports = self.reports.setdefault(report.nodeid, [])
        reports.append(report)
        # A test ends with its teardown. A worker that died reports its test once, in a phase that is none of the three.
        if report.when in ("setup", "call"):
            return
        del self.reports[report.nodeid]
        outcome, why = judge(reports)
        seconds = sum(r.duration for r in reports)
        name = report.nodeid.rsplit("/", 1)[-1]
        self.file.write(f"{name}\t{outcome}\t{seconds:.1f}\t{' '.join(why.split())[:300]}\n")


def judge(reports):
    """The outcome of a test, and why. A failure in any phase is a failure: who leaves a bucket behind did not pass."""
    for report in reports:
        if report.failed:
            crash = getattr(report.longrepr, "reprcrash", None)
            return "failed", (crash.message if crash else str(report.longrepr)).split("\n")[0]
    for report in reports:
        if report.skipped:
            return "skipped", str(report.longrepr[2]) if isinstance(report.longrepr, tuple) else ""
    return "passed", ""
