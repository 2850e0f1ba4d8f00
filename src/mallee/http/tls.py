"""The certificate of the TLS port: from a private authority made once, or the one that the operator gives.

In ``cloud/tls``: ``ca.pem`` (what clients trust), ``ca.key``, ``cert.pem`` and ``key.pem``, and ``issued.json``, which says for
which names and until when, so that a running cloud need not load an X.509 library to see that nothing is to be done.
The certificate is made anew a month before it ends and whenever the names change; the authority, on which clients
depend, never is while it lasts.
"""

from __future__ import annotations

import datetime
import ipaddress
import json
import os
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from mallee.settings import Settings

CA_DAYS = 3650
DAYS = 397  # what clients accept at most
RENEW_DAYS = 30
IN_VPCS = "169.254.169.252"


class CertificateError(Exception):
    """The certificate cannot be used. The text is a sentence for the operator."""


def names(settings: Settings) -> list[str]:
    """Host names and addresses under which the cloud is reached: from outside, and by guests within their VPCs."""
    endpoints = f"{settings.region}.{settings.dns_suffix}"
    wanted = ["localhost", "127.0.0.1", "::1", socket.gethostname(), f"*.{endpoints}", endpoints, IN_VPCS, *settings.tls_names]
    if settings.host not in ("0.0.0.0", "::"):
        wanted.append(settings.host)
    return list(dict.fromkeys(name for name in wanted if name))


def is_current(folder: Path, wanted: list[str]) -> bool:
    try:
        issued = json.loads((folder / "issued.json").read_text())
        fresh = issued["until"] - time.time() > RENEW_DAYS * 86400
        return fresh and issued["names"] == wanted and all((folder / name).exists() for name in _FILES)
    except (OSError, ValueError, KeyError, TypeError):
        return False


_FILES = ("ca.pem", "ca.key", "cert.pem", "key.pem")


def ensure(settings: Settings) -> bool:
    """Make what is missing or about to end; True when something was made. It runs in a process of its own."""
    folder, wanted = settings.cloud / "tls", names(settings)
    if settings.tls_certificate or is_current(folder, wanted):
        return False
    command = [sys.executable, "-m", "mallee.http.tls", str(folder), *wanted]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or ["no reason given"]
        raise CertificateError(f"The TLS certificate in {folder} could not be made: {last[0]}.")
    return True


def context(settings: Settings) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    made.set_alpn_protocols(["http/1.1"])
    load(made, settings)
    return made


def load(into: ssl.SSLContext, settings: Settings) -> None:
    """Use the present certificate from now on; connections that are open keep theirs."""
    folder = settings.cloud / "tls"
    certificate = settings.tls_certificate or str(folder / "cert.pem")
    key = settings.tls_key or str(folder / "key.pem")
    try:
        into.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as reason:
        raise CertificateError(f"The TLS certificate {certificate} with the key {key} cannot be used: {reason}.") from None


def ends(settings: Settings) -> datetime.datetime:
    """When the certificate that is in use ends. It is read in a process of its own."""
    file = settings.tls_certificate or str(settings.cloud / "tls" / "cert.pem")
    command = [sys.executable, "-m", "mallee.http.tls", "--ends", file]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode:
        raise CertificateError(f"The TLS certificate {file} cannot be read.")
    return datetime.datetime.fromisoformat(done.stdout.strip())


# ---------------------------------------------------------------------------------------------------------------- issuing


def issue(folder: Path, wanted: list[str], now: datetime.datetime | None = None) -> None:
    """Make the certificate for ``wanted`` names, and the authority if there is none or it ends first."""
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization

    now = now or datetime.datetime.now(datetime.UTC)
    authority: Any
    authority_key: Any
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)
    try:
        authority = x509.load_pem_x509_certificate((folder / "ca.pem").read_bytes())
        authority_key = serialization.load_pem_private_key((folder / "ca.key").read_bytes(), None)
        if authority.not_valid_after_utc - now < datetime.timedelta(days=DAYS):
            raise FileNotFoundError
    except FileNotFoundError:
        authority, authority_key = _authority(folder, now)
    key = _key()
    usage = x509.ExtendedKeyUsage([x509.oid.ExtendedKeyUsageOID.SERVER_AUTH])
    built = (
        _builder(wanted[0], authority.subject, key, now, DAYS)
        .add_extension(x509.SubjectAlternativeName([_alternative(name) for name in wanted]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs=False), critical=True)
        .add_extension(usage, critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False)
    )
    certificate = _signed(built, authority_key)
    _put(folder / "key.pem", _pem_key(key), 0o600)
    pems = [certificate.public_bytes(serialization.Encoding.PEM), authority.public_bytes(serialization.Encoding.PEM)]
    _put(folder / "cert.pem", b"".join(pems), 0o644)
    until = certificate.not_valid_after_utc.timestamp()
    _put(folder / "issued.json", json.dumps({"names": wanted, "until": until}).encode(), 0o644)


def _authority(folder: Path, now: datetime.datetime) -> tuple[Any, Any]:
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization

    key = _key()
    title = f"Mallee private authority {os.urandom(4).hex()}"
    built = (
        _builder(title, _name(title), key, now, CA_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs=True), critical=True)
    )
    certificate = _signed(built, key)
    _put(folder / "ca.key", _pem_key(key), 0o600)
    _put(folder / "ca.pem", certificate.public_bytes(serialization.Encoding.PEM), 0o644)
    return certificate, key


def _builder(title: str, issuer: Any, key: Any, now: datetime.datetime, days: int) -> Any:
    from cryptography import x509

    return (
        x509.CertificateBuilder()
        .subject_name(_name(title))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _name(title: str) -> Any:
    from cryptography import x509

    return x509.Name([x509.NameAttribute(x509.oid.NameOID.COMMON_NAME, title[:64])])


def _alternative(name: str) -> Any:
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _usage(*, signs: bool) -> Any:
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=not signs, content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, key_cert_sign=signs, crl_sign=signs, encipher_only=False, decipher_only=False,
    )  # fmt: skip


def _key() -> Any:
    from cryptography.hazmat.primitives.asymmetric import ec

    return ec.generate_private_key(ec.SECP256R1())


def _signed(builder: Any, key: Any) -> Any:
    from cryptography.hazmat.primitives import hashes

    return builder.sign(key, hashes.SHA256())


def _pem_key(key: Any) -> bytes:
    from cryptography.hazmat.primitives import serialization as form

    pem: bytes = key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption())
    return pem


def _put(path: Path, data: bytes, mode: int) -> None:
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    try:
        os.fchmod(descriptor, mode)  # whatever the umask
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def _print_end(file: str) -> None:
    from cryptography import x509

    print(x509.load_pem_x509_certificate(Path(file).read_bytes()).not_valid_after_utc.isoformat())


if __name__ == "__main__":
    if sys.argv[1] == "--ends":
        _print_end(sys.argv[2])
    else:
        issue(Path(sys.argv[1]), sys.argv[2:])
