"""The gateway that deploy/testenv started, as the administrator of its users."""

import os
import subprocess

from suite import USERS

# The site's own user reads what every other user wrote: an administrator's right on the gateway.
SITE_UID = "conformance-site"
SITE_ACCESS_KEY = "CONFORMANCESITE00001"
SITE_SECRET_KEY = "conformance-site-secret-0000000000000001"


class Gateway:
    def __init__(self, directory, endpoint):
        self.conf = os.path.join(directory, "ceph.conf")
        self.endpoint = endpoint
        self.port = int(endpoint.rsplit(":", 1)[1])

    def make_users(self):
        self._user(SITE_UID, SITE_UID, SITE_ACCESS_KEY, SITE_SECRET_KEY, "--admin")
        for u in USERS:
            self._user(u.uid, u.name, u.access_key, u.secret_key, "--email", u.email)
            if u.caps:
                self._admin("caps", "add", "--uid", u.uid, "--caps", u.caps)

    def _user(self, uid, name, access_key, secret_key, *more):
        keys = ("--key-type", "s3", "--access-key", access_key, "--secret", secret_key)
        if self._try("user", "info", "--uid", uid).returncode != 0:
            self._admin("user", "create", "--uid", uid, "--display-name", name, *keys, *more)

    def _try(self, *arguments):
        command = ["radosgw-admin", "-c", self.conf, "-n", "client.rgw", *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=60)

    def _admin(self, *arguments):
        done = self._try(*arguments)
        if done.returncode != 0:
            raise RuntimeError(f"radosgw-admin {arguments[0]} {arguments[1]}: {done.stderr.strip()[-500:]}")
