"""The public suite: its users, its configuration file, and one run of it."""

import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass

HERE = os.path.dirname(os.path.abspath(__file__))
FILES = ("test_s3.py", "test_headers.py")
MODULES = ("boto3", "pytest", "pytest_timeout", "xdist", "munch", "isodate", "pytz", "requests", "yaml")
DEBIAN_MODULES = "/usr/lib/python3/dist-packages"

# Requests that end radosgw 16.2.15 (an assertion in RGWObjectCtx): never sent to it, but all the more to cofre.
ABORTS_RGW = ("test_s3.py::test_upload_part_copy_percent_encoded_key",)


@dataclass(frozen=True)
class User:
    """A user of the gateway. The suite compares ids and names with those in ACLs and listings."""

    role: str  # what the suite calls it
    uid: str
    name: str
    email: str
    access_key: str
    secret_key: str
    caps: str = ""


# cofre serves the users of one tenant of the gateway, so the suite's tenant user is one of the same tenant as the others.
# The keys are worth nothing: each run makes the users on a gateway of its own.
USERS = (
    User("s3 main", "conformance-main", "Main Tester", "main@conformance.test",
         "CONFORMANCEMAIN00001", "conformance-main-secret-0000000000000001", "user-policy=*"),
    User("s3 alt", "conformance-alt", "Alt Tester", "alt@conformance.test",
         "CONFORMANCEALT000001", "conformance-alt-secret-00000000000000001"),
    User("s3 tenant", "conformance-tenant", "Tenant Tester", "tenant@conformance.test",
         "CONFORMANCETENANT001", "conformance-tenant-secret-00000000000001"),
    User("iam", "conformance-iam", "IAM Tester", "iam@conformance.test",
         "CONFORMANCEIAM000001", "conformance-iam-secret-00000000000000001", "user-policy=*;roles=*;oidc-provider=*"),
)


def check_python(checkout):
    """Gives the reason why the suite cannot be run, or None."""
    if not os.path.isfile(os.path.join(checkout, "s3tests", "functional", FILES[0])):
        return f"{checkout} is no checkout of ceph/s3-tests"
    with tempfile.TemporaryDirectory(prefix="cofre-conformance-") as tmp:
        lacking = []
        for module in MODULES:
            found = subprocess.run([sys.executable, "-c", f"import {module}"], env=environment(tmp), capture_output=True)
            if found.returncode != 0:
                lacking.append(module)
    if lacking:
        return ("python3 lacks " + ", ".join(lacking) + "; Debian has python3-boto3, -pytest, -pytest-timeout, -pytest-xdist, "
                "-munch, -isodate, -tz, -requests, -yaml")
    return None


def environment(tmp):
    """The environment of a python of the suite: nothing of the caller's AWS setup, and Debian's modules behind its own."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("AWS_") and not k.lower().endswith("_proxy")}
    # Put in front they would hide a newer boto3 of this python behind Debian's.
    with open(os.path.join(tmp, "sitecustomize.py"), "w", encoding="utf-8") as f:
        f.write(f"import sys\nsys.path.append({DEBIAN_MODULES!r})\n")
    env.update(
        PYTHONPATH=os.pathsep.join((tmp, HERE)), PYTHONDONTWRITEBYTECODE="1",
        AWS_CONFIG_FILE=os.devnull, AWS_SHARED_CREDENTIALS_FILE=os.devnull, AWS_EC2_METADATA_DISABLED="true",
    )
    return env


def configuration(port):
    """The suite's configuration file, for an endpoint on this machine."""
    lines = ["[DEFAULT]", "host = 127.0.0.1", f"port = {port}", "is_secure = False", "ssl_verify = False",
             "[fixtures]", "bucket prefix = conformance-{random}-"]
    for user in USERS:
        lines += [f"[{user.role}]", f"user_id = {user.uid}", f"display_name = {user.name}", f"email = {user.email}",
                  f"access_key = {user.access_key}", f"secret_key = {user.secret_key}"]
        if user.role == "s3 main":
            lines += ["api_name = default", "kms_keyid = testkey-1", "kms_keyid2 = testkey-2",
                      "storage_classes = LUKEWARM, FROZEN", "lc_debug_interval = 10"]
        if user.role == "s3 tenant":
            lines += ["tenant ="]
    # Accounts came after RGW 16; the suite wants the sections, whatever is in them.
    for section in ("iam root", "iam alt root"):
        lines += [f"[{section}]", "user_id = RGW00000000000000000", "email = none@conformance.test",
                  "access_key = NOSUCHACCOUNT", "secret_key = none"]
    return "\n".join(lines) + "\n"


@dataclass(frozen=True)
class Selection:
    """Which tests are run, and how."""

    keywords: str  # pytest -k
    markers: str  # pytest -m
    names: tuple  # only these; () for all
    matrix: bool
    workers: int
    timeout: int  # seconds a test may take


def run(checkout, port, selection, leave_out=()):
    """Runs the suite against a port of this machine. Gives {name: (outcome, seconds, why)}."""
    with tempfile.TemporaryDirectory(prefix="cofre-conformance-") as tmp:
        env = environment(tmp)
        outcomes = os.path.join(tmp, "outcomes")
        config = os.path.join(tmp, "s3tests.conf")
        with open(config, "w", encoding="utf-8") as f:
            f.write(configuration(port))
        env.update(S3TEST_CONF=config, CONFORMANCE_OUTCOMES=outcomes)
        if selection.matrix:
            env["CONFORMANCE_MATRIX"] = "1"
        command = [sys.executable, "-m", "pytest", "-q", "--tb=short", "-p", "no:cacheprovider", "-p", "pytest_outcomes",
                   f"--timeout={selection.timeout}", f"--basetemp={tmp}/pytest", "--show-capture=no"]
        if selection.workers > 1:
            command += ["-n", str(selection.workers)]
        if selection.keywords:
            command += ["-k", selection.keywords]
        if selection.markers:
            command += ["-m", selection.markers]
        command += [f"--deselect=s3tests/functional/{name}" for name in leave_out]
        command += [f"s3tests/functional/{name}" for name in selection.names or FILES]
        with open(os.path.join(tmp, "pytest.out"), "w+", encoding="utf-8") as out:
            # pytest ends with 0 when all passed, 1 when some did not, 5 when none was selected.
            status = subprocess.run(command, cwd=checkout, env=env, stdout=out, stderr=subprocess.STDOUT).returncode
            out.seek(0)
            said = out.read()
        if status not in (0, 1):
            raise RuntimeError(f"the suite did not run (pytest ended with {status}):\n{said[-4000:]}")
        return read_outcomes(outcomes), said


def read_outcomes(path):
    outcomes = {}
    with open(path, encoding="utf-8") as f:
        for line in f:
            name, outcome, seconds, why = line.rstrip("\n").split("\t")
            outcomes[name] = (outcome, float(seconds), why)
    return outcomes
