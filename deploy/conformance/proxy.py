"""One cofre in front of the gateway, with a credential for each user of the suite that acts as the same user behind it."""

import json
import os
import secrets
import socket
import subprocess
import time
import urllib.error
import urllib.request

import gateway
from suite import USERS

READY_SECONDS = 60
STOP_SECONDS = 60  # longer than limits.drain


class Proxy:
    """A `cofre serve` process; leave the `with` block to end it."""

    def __init__(self, binary, directory, endpoint, metadata_url):
        self.binary = os.path.abspath(binary)
        self.directory = directory
        self.log = os.path.join(directory, "cofre.log")
        self.config = os.path.join(directory, "cofre.yaml")
        self.port = free_port()
        self.admin_port = free_port()
        self.process = None
        os.makedirs(directory, mode=0o700, exist_ok=True)
        self._write("passphrase", secrets.token_hex(16))
        self._write("site_secret", gateway.SITE_SECRET_KEY)
        self._write("metadata_url", metadata_url)
        for user in USERS:
            self._write(user.uid, user.secret_key)
        # Every YAML parser reads JSON.
        self._write("cofre.yaml", json.dumps(self._configuration(endpoint), indent=1), always=True)

    def _path(self, name):
        return os.path.join(self.directory, name)

    def _write(self, name, content, always=False):
        path = self._path(name)
        if always or not os.path.exists(path):
            with open(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w", encoding="utf-8") as f:
                f.write(content)

    def _configuration(self, endpoint):
        everything = ["read", "write", "list", "delete"]
        return {
            "listen": f"127.0.0.1:{self.port}",
            "admin_listen": f"127.0.0.1:{self.admin_port}",
            "region": "default",
            # The suite's connections are plain HTTP, its customer keys worth nothing.
            "sse_c_over_http": True,
            "site": {"identity": self._path("site.age"), "passphrase_file": self._path("passphrase")},
            "backend": {
                "endpoint": endpoint,
                "access_key": gateway.SITE_ACCESS_KEY,
                "secret_key_file": self._path("site_secret"),
                "users": [
                    {"name": u.uid, "access_key": u.access_key, "secret_key_file": self._path(u.uid)} for u in USERS
                ],
            },
            "metadata": {"url_file": self._path("metadata_url")},
            # What anonymous and other users may do is the gateway's to decide here, as it is without cofre.
            "buckets": [{"name": "*", "anonymous": everything}],
            "credentials": [
                {
                    "access_key": u.access_key,
                    "secret_key_file": self._path(u.uid),
                    "user": u.uid,
                    "grants": [{"bucket": "*", "actions": everything + ["admin"]}],
                }
                for u in USERS
            ],
            "limits": {"drain": "10s", "drain_delay": "0s"},
        }

    def _command(self, *arguments):
        env = {k: v for k, v in os.environ.items() if not k.startswith("COFRE_")}
        return {"args": [self.binary, *arguments, "--config", self.config], "cwd": self.directory, "env": env}

    def __enter__(self):
        if not os.path.exists(self._path("site.age")):
            made = subprocess.run(**self._command("site", "init"), capture_output=True, text=True)
            if made.returncode != 0:
                raise RuntimeError(f"cofre site init: {made.stderr.strip()}")
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(**self._command("serve"), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            self._wait_ready()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, *exception):
        self._stop()

    def _wait_ready(self):
        # No proxy that the environment names stands between this machine and itself.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                with opener.open(f"http://127.0.0.1:{self.admin_port}/readyz", timeout=2):
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
        with open(self.log, encoding="utf-8", errors="replace") as log:
            raise RuntimeError(f"cofre did not become ready:\n{log.read()[-2000:]}")

    def _stop(self):
        self.process.terminate()
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]
