"""The settings of one cloud: a frozen record, kept in ``$MALLEE_HOME/config.toml``.

Every process of a cloud reads the same file. What the file leaves out has a default; what the environment gives
(``MALLEE_REGION``, ``MALLEE_PORT``, …: the setting's name in capitals) wins over both, so that a container needs no
file. A value that cannot work is refused when it is read, in one sentence that names the setting, never when it is
first used.

This module imports nothing of Mallee: the node agent and the command line read settings too.
"""

from __future__ import annotations

import dataclasses
import hashlib
import ipaddress
import os
import re
import secrets
import tomllib
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FILE = "config.toml"
PREFIX = "MALLEE_"


class SettingsError(Exception):
    """A setting that cannot work. The text is one sentence for the person who wrote it."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Ports left at 0 follow ``port``: TLS is the next one, metrics the one after. ``zones`` left empty is one zone, or
    three in a simulated cloud. An empty ``database_url`` is the SQLite file in the home."""

    home: Path
    region: str = "local-1"
    zones: tuple[str, ...] = ()
    partition: str = "aws"
    dns_suffix: str = "mallee.internal"
    signing_regions: tuple[str, ...] = ("us-east-1",)  # further names that signatures may bear: clients use it by default

    host: str = "0.0.0.0"
    port: int = 8773
    tls: bool = True
    tls_port: int = 0
    tls_certificate: str = ""  # a PEM file that replaces the certificate of the private CA
    tls_key: str = ""
    tls_names: tuple[str, ...] = ()  # further names and addresses for the certificate
    metrics_host: str = "127.0.0.1"
    metrics_port: int = 0

    database_url: str = ""
    admin_account_id: str = ""
    admin_alias: str = "mallee"
    public_pool: tuple[str, ...] = ("198.51.100.0/24",)
    egress: str = "nat"
    objects_database_url: str = ""  # of the index of objects; empty: a SQLite file in the home, or the PostgreSQL of database_url
    objects_engine: str = "local"  # where the bytes of objects are: local (objects_disks) or rados (a pool of Ceph)
    objects_rados_conf: str = "/etc/ceph/ceph.conf"
    objects_rados_pool: str = "mallee-objects"
    objects_rados_user: str = "client.mallee"
    objects_rados_keyring: str = ""  # empty: where Ceph looks by itself
    objects_rados_seconds: int = 30  # that Ceph may take for anything before it fails
    objects_disks: tuple[str, ...] = ()  # folders, each on a disk of its own; empty: one in the home
    objects_copies: int = 1  # of every object, on as many disks
    objects_domains: tuple[str, ...] = ()  # further domains below which a host's first label is a bucket
    objects_website_domains: tuple[str, ...] = ()  # the same for websites; a bucket of just that name is a website there, too
    federation_networks: tuple[str, ...] = ()  # where identity providers may be although they are as near as this machine

    objects_ownership: str = "BucketOwnerEnforced"  # of new buckets
    objects_block_public_access: bool = True  # whether new buckets keep the public out until they are told otherwise
    objects_restore_seconds: float = 0.0  # until an archived object that is restored can be read

    simulated: bool = False
    simulated_nodes: int = 0  # 0: one per zone
    simulated_vcpus: int = 4096  # of each simulated node
    simulated_memory_mib: int = 16 * 1024 * 1024
    simulated_disk_gib: int = 1024 * 1024
    simulated_boot_seconds: float = 1.0
    simulated_stop_seconds: float = 0.5

    uid: int = 0  # of the cloud's process when root starts it; 0: derived from the home
    max_connections: int = 16384  # per port; fewer where the system gives the process fewer files
    header_seconds: float = 10.0
    body_seconds: float = 60.0
    keep_alive_seconds: float = 75.0
    threads: int = 4
    job_workers: int = 2
    log_mib: int = 16  # of each log file before it is rotated
    log_files: int = 4

    def __post_init__(self) -> None:
        fill = object.__setattr__
        fill(self, "home", Path(self.home).absolute())
        if not self.zones:
            letters = "abc" if self.simulated else "a"
            fill(self, "zones", tuple(self.region + letter for letter in letters))
        if not self.tls_port:
            fill(self, "tls_port", self.port + 1)
        if not self.metrics_port:
            fill(self, "metrics_port", self.port + 2)
        if not self.database_url:
            fill(self, "database_url", f"sqlite:///{self.home}/cloud/cloud.db")
        if not self.objects_database_url:
            own = f"sqlite:///{self.home}/cloud/objects.db"
            fill(self, "objects_database_url", own if self.database_url.startswith("sqlite:") else self.database_url)
        if not self.objects_disks:
            fill(self, "objects_disks", (f"{self.home}/cloud/objects",))
        if not self.simulated_nodes:
            fill(self, "simulated_nodes", len(self.zones))
        if not self.uid:
            fill(self, "uid", 61000 + int(self.tag, 16) % 4000)
        _check(self)

    @property
    def tag(self) -> str:
        """Four hex digits that tell this home's namespaces, devices and rules from those of another cloud on the
        host."""
        return hashlib.sha1(str(self.home).encode(), usedforsecurity=False).hexdigest()[:4]

    @property
    def cloud(self) -> Path:
        """What the cloud's process owns."""
        return self.home / "cloud"

    @property
    def s3_domains(self) -> tuple[str, ...]:
        """Below which the labels of a host are a bucket: S3's names of today, dual-stack ones, and the two of old."""
        region, suffix = self.region, self.dns_suffix
        hosts = (f"s3.{region}", f"s3.dualstack.{region}", f"s3-{region}", "s3")
        return (*(f"{host}.{suffix}" for host in hosts), *(domain.lower() for domain in self.objects_domains))

    @property
    def website_domains(self) -> tuple[str, ...]:
        """The same for websites."""
        region, suffix = self.region, self.dns_suffix
        own = (f"s3-website.{region}.{suffix}", f"s3-website-{region}.{suffix}")
        return (*own, *(domain.lower() for domain in self.objects_website_domains))

    @property
    def run(self) -> Path:
        return self.home / "run"

    @property
    def log(self) -> Path:
        return self.home / "log"

    @property
    def secrets(self) -> Path:
        return self.home / "secrets"

    @property
    def blobs(self) -> Path:
        return self.cloud / "blobs"

    @property
    def file(self) -> Path:
        return self.home / FILE

    @property
    def endpoint(self) -> str:
        """Where clients on this host reach the API."""
        host = "127.0.0.1" if self.host in ("0.0.0.0", "::") else self.host
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    @property
    def tls_endpoint(self) -> str:
        return self.endpoint.replace("http:", "https:").rpartition(":")[0] + f":{self.tls_port}"


_DEFAULTS = {item.name: item.default for item in dataclasses.fields(Settings)}
_KINDS: dict[str, Any] = {name: kind for name, kind in typing.get_type_hints(Settings).items() if name != "home"}


def load(home: str | Path, environment: Mapping[str, str] | None = None) -> Settings:
    """The settings of ``home``: its file, then the environment, then the defaults."""
    home = Path(home).absolute()
    return Settings(
        home=home, **(_from_file(home / FILE) | _from_environment(os.environ if environment is None else environment))
    )


def ensure(home: str | Path, **chosen: Any) -> Settings:
    """The settings of ``home``, whose file is written first if it is not there: with what was ``chosen`` and an account
    id for the administrator, which must never change afterwards."""
    home = Path(home).absolute()
    if not (home / FILE).exists():
        known = _from_environment(os.environ) | chosen
        known.setdefault("admin_account_id", account_id())
        save(Settings(home=home, **known))
    return load(home)


def account_id() -> str:
    """Twelve digits, the first of them not zero (a spreadsheet eats it)."""
    return str(secrets.randbelow(9 * 10**11) + 10**11)


def save(settings: Settings) -> None:
    """Write what differs from the defaults, whole or not at all."""
    plain = Settings(home=settings.home, simulated=settings.simulated, region=settings.region, port=settings.port)
    lines = ["# Settings of this Mallee cloud. What is not here has its default: see docs/settings.md."]
    for name in _KINDS:
        value = getattr(settings, name)
        if value != getattr(plain, name) or (value != _DEFAULTS[name] and name in ("simulated", "region", "port")):
            lines.append(f"{name} = {_toml(value)}")
    settings.home.mkdir(parents=True, exist_ok=True)
    partial = settings.file.with_name(f".{FILE}.{os.getpid()}")
    urls = settings.database_url, settings.objects_database_url
    secret = urls != (plain.database_url, plain.objects_database_url)  # they may hold a password
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600 if secret else 0o644)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, settings.file)
    finally:
        partial.unlink(missing_ok=True)


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, tuple):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    text = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(f"\\u{ord(letter):04x}" if ord(letter) < 32 or ord(letter) == 127 else letter for letter in text) + '"'


def _from_file(path: Path) -> dict[str, Any]:
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as reason:
        raise SettingsError(f"{path} cannot be read: {reason}.") from None
    unknown = sorted(set(found) - set(_KINDS))
    if unknown:
        raise SettingsError(f"{path}: there is no setting called {unknown[0]}.")
    return {name: _typed(name, value, str(path)) for name, value in found.items()}


def _typed(name: str, value: Any, where: str) -> Any:
    kind = _KINDS[name]
    if typing.get_origin(kind) is tuple:
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            return tuple(value)
        raise SettingsError(f"{where}: {name} must be a list of strings.")
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not kind:
        raise SettingsError(f"{where}: {name} must be {_ARTICLES[kind]}, not {value!r}.")
    return value


_ARTICLES: dict[Any, str] = {bool: "true or false", int: "a whole number", float: "a number", str: "a string"}


def _from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, kind in _KINDS.items():
        text = environment.get(PREFIX + name.upper())
        if text is None or text == "":
            continue
        try:
            found[name] = _parsed(kind, text.strip())
        except ValueError:
            raise SettingsError(f"{PREFIX}{name.upper()} must be {_ARTICLES[kind]}, not {text!r}.") from None
    return found


def _parsed(kind: Any, text: str) -> Any:
    if isinstance(kind, types.GenericAlias):
        return tuple(item.strip() for item in text.split(",") if item.strip())
    if kind is bool:
        if text.lower() not in ("1", "0", "true", "false", "yes", "no"):
            raise ValueError(text)
        return text.lower() in ("1", "true", "yes")
    return kind(text)


# --------------------------------------------------------------------------------------------------------------- checks

_NAME = re.compile(r"[a-z][a-z0-9-]{0,40}[a-z0-9]")
_HOST = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")


def _check(s: Settings) -> None:
    _need(_NAME.fullmatch(s.region), f"region must be lower-case letters, digits and hyphens, not {s.region!r}")
    for zone in s.zones:
        _need(_NAME.fullmatch(zone), f"zones must hold names of lower-case letters, digits and hyphens, not {zone!r}")
    _need(len(set(s.zones)) == len(s.zones), "zones must not name one zone twice")
    _need(_NAME.fullmatch(s.partition), f"partition must be a name such as aws, not {s.partition!r}")
    _need(_HOST.fullmatch(s.dns_suffix), f"dns_suffix must be a domain name, not {s.dns_suffix!r}")
    _need(_is_address(s.host), f"host must be an IP address to listen on, not {s.host!r}")
    _need(_is_address(s.metrics_host), f"metrics_host must be an IP address to listen on, not {s.metrics_host!r}")
    for name in ("port", "tls_port", "metrics_port"):
        _need(0 < getattr(s, name) < 65536, f"{name} must be between 1 and 65535, not {getattr(s, name)}")
    _need(len({s.port, s.tls_port, s.metrics_port}) == 3, "port, tls_port and metrics_port must differ")
    _need(
        bool(s.tls_certificate) == bool(s.tls_key),
        "tls_certificate and tls_key must be given together: one of them is missing",
    )
    _need(
        s.database_url.startswith(("sqlite:///", "postgresql+psycopg://", "postgresql://")),
        "database_url must begin with sqlite:/// or postgresql://",
    )
    _need(
        s.objects_database_url.startswith(("sqlite:///", "postgresql+psycopg://", "postgresql://")),
        "objects_database_url must begin with sqlite:/// or postgresql://",
    )
    _check_rados(s)
    for folder in s.objects_disks:
        _need(folder.startswith("/"), f"objects_disks must hold absolute paths, not {folder!r}")
    _need(len(set(s.objects_disks)) == len(s.objects_disks), "objects_disks must not name one folder twice")
    _need(
        1 <= s.objects_copies <= len(s.objects_disks),
        f"objects_copies must be between 1 and the number of objects_disks, not {s.objects_copies}",
    )
    for domain in s.objects_domains:
        _need(_HOST.fullmatch(domain), f"objects_domains must hold domain names, not {domain!r}")
    for domain in s.objects_website_domains:
        _need(_HOST.fullmatch(domain), f"objects_website_domains must hold domain names, not {domain!r}")
    _need(not s.admin_account_id or re.fullmatch(r"\d{12}", s.admin_account_id), "admin_account_id must be twelve digits")
    _need(re.fullmatch(r"[a-z0-9](-?[a-z0-9]){2,62}", s.admin_alias), f"admin_alias cannot be {s.admin_alias!r}")
    _check_pool(s.public_pool)
    _check_networks(s.federation_networks)
    _need(
        s.objects_ownership in ("BucketOwnerEnforced", "BucketOwnerPreferred", "ObjectWriter"),
        f"objects_ownership must be BucketOwnerEnforced, BucketOwnerPreferred or ObjectWriter, not {s.objects_ownership!r}",
    )
    _need(s.egress in ("nat", "none"), f"egress must be nat or none, not {s.egress!r}")
    for name, least, most in _BOUNDS:
        value = getattr(s, name)
        _need(least <= value <= most, f"{name} must be between {least} and {most}, not {value}")


_BOUNDS = (
    ("simulated_nodes", 1, 1000),
    ("simulated_vcpus", 1, 100_000),
    ("simulated_memory_mib", 512, 10**9),
    ("simulated_disk_gib", 8, 10**7),
    ("objects_restore_seconds", 0, 10**7),
    ("simulated_boot_seconds", 0, 3600),
    ("simulated_stop_seconds", 0, 3600),
    ("uid", 1, 2**31 - 2),
    ("max_connections", 1, 100_000),
    ("objects_rados_seconds", 1, 600),
    ("header_seconds", 0.1, 3600),
    ("body_seconds", 0.1, 3600),
    ("keep_alive_seconds", 0.1, 3600),
    ("threads", 1, 256),
    ("job_workers", 1, 64),
    ("log_mib", 1, 10_000),
    ("log_files", 1, 1000),
)


def _check_rados(s: Settings) -> None:
    _need(s.objects_engine in ("local", "rados"), f"objects_engine must be local or rados, not {s.objects_engine!r}")
    _need(s.objects_rados_conf.startswith("/"), f"objects_rados_conf must be an absolute path, not {s.objects_rados_conf!r}")
    _need(
        re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,126}", s.objects_rados_pool),
        f"objects_rados_pool must be a pool's name of letters, digits, dots, hyphens and underscores, not {s.objects_rados_pool!r}",
    )
    _need(
        re.fullmatch(r"client\.[A-Za-z0-9._-]{1,100}", s.objects_rados_user),
        f"objects_rados_user must be a name such as client.mallee, not {s.objects_rados_user!r}",
    )
    keyring = s.objects_rados_keyring
    _need(not keyring or keyring.startswith("/"), f"objects_rados_keyring must be an absolute path, not {keyring!r}")


def _check_pool(pool: tuple[str, ...]) -> None:
    networks = []
    for text in pool:
        try:
            networks.append(ipaddress.IPv4Network(text))
        except ValueError as reason:
            raise SettingsError(f"public_pool must hold IPv4 networks: {reason}.") from None
    for index, one in enumerate(networks):
        for other in networks[index + 1 :]:
            _need(not one.overlaps(other), f"public_pool must not overlap: {one} and {other} do")


def _check_networks(networks: tuple[str, ...]) -> None:
    for text in networks:
        try:
            ipaddress.ip_network(text)
        except ValueError as reason:
            raise SettingsError(f"federation_networks must hold networks: {reason}.") from None


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _need(condition: object, sentence: str) -> None:
    if not condition:
        raise SettingsError(sentence + ".")
