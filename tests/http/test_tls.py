"""The private authority and its certificates, with real handshakes."""

from __future__ import annotations

import datetime
import http.client
import json
import ssl
import stat
from pathlib import Path

import pytest
from cryptography import x509

from mallee.http import tls
from mallee.settings import Settings
from tests.http.server import echo, serving

NOW = datetime.datetime.now(datetime.UTC)


def made(home: Path, **options: object) -> Settings:
    (home / "cloud").mkdir(parents=True, exist_ok=True)
    return Settings(home=home, **options)  # type: ignore[arg-type]


def leaf(settings: Settings) -> x509.Certificate:
    return x509.load_pem_x509_certificate((settings.cloud / "tls" / "cert.pem").read_bytes())


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1"])
def test_clients_that_trust_the_authority_are_served(tmp_path: Path, name: str) -> None:
    settings = made(tmp_path, tls_names=("cloud.example",))
    assert tls.ensure(settings) and not tls.ensure(settings)
    with serving(echo, context=tls.context(settings)) as server:
        trusting = ssl.create_default_context(cafile=str(settings.cloud / "tls" / "ca.pem"))
        if hasattr(ssl, "VERIFY_X509_STRICT"):
            trusting.verify_flags |= ssl.VERIFY_X509_STRICT
        connection = http.client.HTTPSConnection(name, server.port, context=trusting, timeout=5)
        connection.request("GET", "/x")
        assert connection.getresponse().read().startswith(b"GET|/x|")
        connection.close()
        strange = http.client.HTTPSConnection(name, server.port, context=ssl.create_default_context(), timeout=5)
        with pytest.raises(ssl.SSLCertVerificationError):
            strange.request("GET", "/x")


def test_what_it_says(tmp_path: Path) -> None:
    settings = made(tmp_path, tls_names=("cloud.example", "10.1.2.3"))
    tls.ensure(settings)
    names = leaf(settings).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert {"localhost", "cloud.example"} <= set(names.get_values_for_type(x509.DNSName))
    addresses = {str(each) for each in names.get_values_for_type(x509.IPAddress)}
    assert {"127.0.0.1", "::1", "10.1.2.3"} <= addresses
    folder = settings.cloud / "tls"
    for name, mode in (("ca.key", 0o600), ("key.pem", 0o600), ("ca.pem", 0o644), ("cert.pem", 0o644)):
        assert stat.S_IMODE((folder / name).stat().st_mode) == mode


def test_it_is_renewed_before_it_ends_and_when_names_change(tmp_path: Path) -> None:
    settings = made(tmp_path)
    tls.ensure(settings)
    folder = settings.cloud / "tls"
    authority, first = (folder / "ca.pem").read_bytes(), leaf(settings).serial_number
    issued = json.loads((folder / "issued.json").read_text())
    (folder / "issued.json").write_text(json.dumps(issued | {"until": NOW.timestamp() + 86400 * 29}))
    assert tls.ensure(settings)
    second = leaf(settings).serial_number
    assert tls.ensure(made(tmp_path, tls_names=("other.example",)))
    assert len({first, second, leaf(settings).serial_number}) == 3
    assert (folder / "ca.pem").read_bytes() == authority
    for damaged in ("", "[]", '{"until": "x"}'):
        (folder / "issued.json").write_text(damaged)
        assert tls.ensure(settings)


def test_an_authority_that_ends_first_is_replaced(tmp_path: Path) -> None:
    tls.issue(tmp_path, ["localhost"], NOW - datetime.timedelta(days=3500))
    before = (tmp_path / "ca.pem").read_bytes()
    tls.issue(tmp_path, ["localhost"], NOW)
    assert (tmp_path / "ca.pem").read_bytes() != before


def test_the_operator_s_own(tmp_path: Path) -> None:
    tls.issue(tmp_path, ["own.example"])
    given = {"tls_certificate": str(tmp_path / "cert.pem"), "tls_key": str(tmp_path / "key.pem")}
    settings = made(tmp_path / "home", **given)
    assert not tls.ensure(settings) and not (settings.cloud / "tls").exists()
    tls.context(settings)
    assert tls.ends(settings) - NOW > datetime.timedelta(days=396)
    (tmp_path / "key.pem").write_text("nonsense")
    with pytest.raises(tls.CertificateError, match="cannot be used"):
        tls.context(settings)
    (tmp_path / "cert.pem").write_text("nonsense")
    with pytest.raises(tls.CertificateError, match="cannot be read"):
        tls.ends(settings)


def test_a_running_listener_takes_the_new_one(tmp_path: Path) -> None:
    settings = made(tmp_path)
    tls.ensure(settings)
    context = tls.context(settings)
    with serving(echo, context=context) as server:
        seen = []
        for _ in range(2):
            pem = ssl.get_server_certificate(("127.0.0.1", server.port), timeout=5)
            seen.append(x509.load_pem_x509_certificate(pem.encode()).serial_number)
            tls.issue(settings.cloud / "tls", tls.names(settings))
            tls.load(context, settings)
        assert len(set(seen)) == 2
