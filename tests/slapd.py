"""A real directory for tests: Debian's slapd on loopback, in a folder of its own, ended with the test."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

SUFFIX = "dc=example,dc=com"
ADMIN = f"cn=admin,{SUFFIX}"
PASSWORD = "directory-secret"
SLAPD = "/usr/sbin/slapd"

_CONF = """\
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
pidfile {home}/slapd.pid
modulepath /usr/lib/ldap
moduleload back_mdb
{tls}
sizelimit size.soft=unlimited size.hard=unlimited
password-hash {{CLEARTEXT}}
authz-regexp "uid=([^,]*),cn=digest-md5,cn=auth" "ldap:///{suffix}??sub?(uid=$1)"
database mdb
maxsize 104857600
suffix "{suffix}"
rootdn "{admin}"
rootpw {password}
directory {home}/db
dbnosync
"""

BASE = f"""\
dn: {SUFFIX}
objectClass: dcObject
objectClass: organization
o: Example
dc: example

dn: ou=people,{SUFFIX}
objectClass: organizationalUnit
ou: people

dn: ou=groups,{SUFFIX}
objectClass: organizationalUnit
ou: groups

dn: ou=accounts,{SUFFIX}
objectClass: organizationalUnit
ou: accounts
"""


def person(name: str, password: str = "s3cret-of-{}", mail: str | None = None) -> str:
    return (
        f"dn: uid={name},ou=people,{SUFFIX}\nobjectClass: inetOrgPerson\nuid: {name}\ncn: {name}\nsn: {name}\n"
        f"mail: {mail or name + '@example.com'}\nuserPassword: {password.format(name)}\n"
    )


def group(name: str, members: list[str], under: str = "groups") -> str:
    lines = [f"dn: cn={name},ou={under},{SUFFIX}", "objectClass: groupOfNames", f"cn: {name}"]
    return "\n".join([*lines, *(f"member: {member}" for member in members)]) + "\n"


def person_dn(name: str) -> str:
    return f"uid={name},ou=people,{SUFFIX}"


def group_dn(name: str) -> str:
    return f"cn={name},ou=groups,{SUFFIX}"


@dataclass(slots=True)
class Slapd:
    url: str
    home: Path

    def add(self, *entries: str) -> None:
        self._client("ldapadd", "\n".join(entries))

    def modify(self, change: str) -> None:
        self._client("ldapmodify", change)

    def delete(self, *dns: str) -> None:
        self._client("ldapdelete", "", *dns)

    def _client(self, program: str, text: str, *arguments: str) -> None:
        command = [program, "-x", "-H", self.url, "-D", ADMIN, "-w", PASSWORD, *arguments]
        done = subprocess.run(command, input=text, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stderr


@contextmanager
def running(home: Path, tls: tuple[Path, Path] | None = None) -> Iterator[Slapd]:
    """A directory with ``BASE`` in it. ``tls``: certificate and key, and then its URL is ldaps."""
    (home / "db").mkdir(parents=True)
    lines = "" if tls is None else f"TLSCertificateFile {tls[0]}\nTLSCertificateKeyFile {tls[1]}"
    conf = home / "slapd.conf"
    conf.write_text(_CONF.format(home=home, suffix=SUFFIX, admin=ADMIN, password=PASSWORD, tls=lines))
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    url = f"{'ldap' if tls is None else 'ldaps'}://127.0.0.1:{port}"
    command = [SLAPD, "-f", str(conf), "-h", url, "-d", "0"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, cwd=home)
    try:
        _await(process, port)
        made = Slapd(url, home)
        if tls is None:
            made.add(BASE)
        yield made
    finally:
        process.terminate()
        process.wait(20)


def _await(process: subprocess.Popen[str], port: int) -> None:
    until = time.monotonic() + 20
    while time.monotonic() < until:
        if process.poll() is not None:
            raise AssertionError(f"slapd ended: {process.stderr.read() if process.stderr else ''}")
        with socket.socket() as probe:
            probe.settimeout(1)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise AssertionError("slapd does not listen")


def is_there() -> bool:
    return os.path.exists(SLAPD) and shutil.which("ldapadd") is not None
