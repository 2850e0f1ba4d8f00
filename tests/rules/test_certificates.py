"""Certificates, private keys and SSH keys: what is taken, what is refused and with which words, and that nothing takes long."""

from __future__ import annotations

import time

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given
from hypothesis import strategies as st

from mallee.identity import certificates
from mallee.identity.certificates import Bad, Expired, Mismatch, Unrecognized
from tests.identity import certs
from tests.identity.certs import DAY, NOW

KEYS = {
    "rsa": certs.rsa_key,
    "ec": certs.ec_key,
    "p384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "ed25519": ed25519.Ed25519PrivateKey.generate,
}


@pytest.mark.parametrize("kind", KEYS)
def test_a_certificate_and_its_key(kind: str) -> None:
    key = KEYS[kind]()
    made = certificates.server_certificate(certs.certificate(key), certs.private(key), None, NOW)
    assert made.not_after == NOW + 3650 * DAY and len(made.digest) == 64


@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
def test_both_forms_of_private_keys(form: PrivateFormat) -> None:
    for key in (certs.rsa_key(), certs.ec_key()):
        certificates.server_certificate(certs.certificate(key), certs.private(key, form), None, NOW)


def test_what_openssl_writes_before_an_ec_key() -> None:
    key = certs.ec_key()
    before = "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
    text = before + certs.private(key, PrivateFormat.TraditionalOpenSSL)
    certificates.server_certificate(certs.certificate(key), text, None, NOW)


@pytest.mark.parametrize(("mine", "other"), [("rsa", "ec"), ("ec", "rsa"), ("rsa", "rsa"), ("ec", "ec")])
def test_another_keys_certificate(mine: str, other: str) -> None:
    key = {"rsa": certs.rsa_key(2048, 1), "ec": certs.ec_key(1)}[other]
    with pytest.raises(Mismatch):
        certificates.server_certificate(certs.certificate(KEYS[mine]()), certs.private(key), None, NOW)


def test_a_forged_key_with_the_right_public_half() -> None:
    """The primes are the certificate's, the exponents are not: what only comparing public numbers would take."""
    true, false = certs.rsa_key(), certs.rsa_key(2048, 1)
    mine, other = true.private_numbers(), false.private_numbers()
    forged = rsa.RSAPrivateNumbers(mine.p, mine.q, other.d, other.dmp1, other.dmq1, mine.iqmp, mine.public_numbers).private_key(
        unsafe_skip_rsa_key_validation=True
    )
    with pytest.raises(Bad):
        certificates.server_certificate(certs.certificate(true), certs.private(forged), None, NOW)


def test_chains() -> None:
    root, middle, leaf = certs.ec_key(1), certs.ec_key(2), certs.rsa_key()
    top = certs.certificate(root, "root", authority=True)
    between = certs.certificate(middle, "middle", "root", root, authority=True)
    body = certs.certificate(leaf, "www.example.com", "middle", middle)
    key = certs.private(leaf)
    certificates.server_certificate(body, key, between, NOW)
    certificates.server_certificate(body, key, between + "\n" + top, NOW)
    for wrong, index in ((top, 0), (top + between, 0), (between + between, 1), (between + top + top + between, 3)):
        with pytest.raises(Bad, match=rf"invalid certificate is: {index}$"):
            certificates.server_certificate(body, key, wrong, NOW)
    impostor = certs.certificate(certs.ec_key(3), "middle", authority=True)  # the right name, the wrong key
    with pytest.raises(Bad, match=r"is: 0$"):
        certificates.server_certificate(body, key, impostor, NOW)


def test_time() -> None:
    key = certs.ec_key()
    past = certs.certificate(key, start=NOW - 9 * DAY, end=NOW - DAY)
    future = certs.certificate(key, start=NOW + DAY, end=NOW + 9 * DAY)
    for text in (past, future):
        with pytest.raises(Expired):
            certificates.certificate(text, NOW)
        certificates.certificate(text)


def test_keys_of_no_use() -> None:
    small = certs.rsa_key(1024)
    certificates.certificate(certs.certificate(small))
    for key in (dsa.generate_private_key(2048), ec.generate_private_key(ec.SECP256K1())):
        with pytest.raises(Bad):
            certificates.certificate(certs.certificate(key))
        with pytest.raises(Bad):
            certificates.private_key(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode())


def test_what_is_no_certificate() -> None:
    key = certs.ec_key()
    good, private = certs.certificate(key), certs.private(key)
    bad = [
        "", "hello", good[:-40], good.replace("CERTIFICATE", "CERTIFICATE REQUEST"), good + good, private, good + private,
        good.replace("\nMI", "\nMJ"), "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n",
        "-----BEGIN " * 1000, good + "-----BEGIN ", good.replace("A", "Ａ"),
    ]  # fmt: skip
    for text in bad:
        with pytest.raises(Bad):
            certificates.certificate(text)


def test_what_is_no_private_key() -> None:
    key = certs.rsa_key()
    good = certs.private(key)
    locked = certs.private(key, PrivateFormat.TraditionalOpenSSL, b"secret")
    bad = ["", good[:-60], good + good, certs.certificate(key), certs.public_pem(key), locked, certs.private(key, password=b"x")]
    for text in bad:
        with pytest.raises(Bad):
            certificates.private_key(text)


@given(st.text(max_size=300))
def test_any_text_is_refused_in_one_way(text: str) -> None:
    wrapped = f"-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n"
    for each in (text, wrapped):
        with pytest.raises(Bad):
            certificates.certificate(each)
        with pytest.raises(Bad):
            certificates.private_key(each.replace("CERTIFICATE", "RSA PRIVATE KEY"))
        with pytest.raises(Bad):
            certificates.ssh_public_key(each)


def test_bombs_take_no_time() -> None:
    """Two megabytes of beginnings, of certificates, of nothing; a key whose check alone would take seconds."""
    good = certs.certificate(certs.ec_key())
    key = certs.private(certs.ec_key())
    began = time.perf_counter()
    for chain in ("-----BEGIN CERTIFICATE-----\n" * 74_000, good * 3000, "A" * 2_000_000, "-----BEGIN " * 190_000):
        with pytest.raises(Bad):
            certificates.server_certificate(good, key, chain, NOW)
    assert time.perf_counter() - began < 5


def test_ssh_keys() -> None:
    key = certs.rsa_key()
    line = certs.ssh_line(key)
    found = certificates.ssh_public_key(line + " somebody@somewhere\n")
    assert found == certificates.ssh_public_key(certs.public_pem(key))
    assert found.line == line and len(found.fingerprint) == 47 and found.fingerprint.count(":") == 15
    assert certificates.ssh_key_as_pem(found.line) == certs.public_pem(key)
    for text in ("hello", "", "ssh-ed25519 AAAA", certs.certificate(key), certs.private(key), line + "\n" + line):
        with pytest.raises(Unrecognized):
            certificates.ssh_public_key(text)
    for text in ("ssh-rsa AAAA", "ssh-rsa " + "A" * 9000, certs.ssh_line(certs.rsa_key(1024)), certs.public_pem(certs.ec_key())):
        with pytest.raises(Bad) as caught:
            certificates.ssh_public_key(text)
        assert not isinstance(caught.value, Unrecognized)
