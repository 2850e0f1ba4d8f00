"""Key pairs against OpenSSL and OpenSSH: what EC2 tells users to run must give our fingerprints."""

from __future__ import annotations

import base64
import hashlib
import hmac
import shutil
import struct
import subprocess

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import given, settings
from hypothesis import strategies as st

from mallee.compute import keys

needs_openssl = pytest.mark.skipif(not shutil.which("openssl"), reason="openssl is not installed")
needs_ssh_keygen = pytest.mark.skipif(not shutil.which("ssh-keygen"), reason="ssh-keygen is not installed")


def _run(*command: str, stdin: bytes = b"") -> bytes:
    return subprocess.run(command, input=stdin, capture_output=True, check=True, timeout=30).stdout


@needs_openssl
def test_a_made_rsa_key_has_the_fingerprint_that_openssl_gives(tmp_path):
    public, private = keys.make("rsa", "pem", "mine")
    assert private.startswith("-----BEGIN RSA PRIVATE KEY-----") and private.endswith("-----END RSA PRIVATE KEY-----")
    der = _run("openssl", "pkcs8", "-topk8", "-nocrypt", "-outform", "DER", stdin=private.encode())
    assert public.fingerprint == hashlib.sha1(der).digest().hex(":")


@needs_openssl
def test_an_imported_rsa_key_has_the_fingerprint_that_openssl_gives(tmp_path):
    made, private = keys.make("rsa", "pem", "mine")
    der = _run("openssl", "rsa", "-pubout", "-outform", "DER", stdin=private.encode())
    imported = keys.read_public(made.line.encode())
    assert imported.fingerprint == hashlib.md5(der).digest().hex(":")
    assert imported.line == made.line


@needs_ssh_keygen
def test_ed25519_has_the_fingerprint_that_ssh_keygen_gives(tmp_path):
    public, private = keys.make("ed25519", "pem", "mine")
    file = tmp_path / "key"
    file.write_text(private + "\n")
    file.chmod(0o600)
    shown = _run("ssh-keygen", "-lf", str(file)).decode().split()[1]
    assert shown == "SHA256:" + public.fingerprint.rstrip("=")
    assert _run("ssh-keygen", "-yf", str(file)).decode().split()[:2] == public.line.split()
    assert keys.read_public(public.line.encode()) == public


@needs_ssh_keygen
@pytest.mark.parametrize("kind", ["rsa", "ed25519"])
def test_every_form_of_a_public_key_is_the_same_key(tmp_path, kind):
    public, _ = keys.make(kind, "pem", "mine")
    file = tmp_path / "key.pub"
    file.write_text(public.line + " someone@somewhere\n")
    rfc4716 = _run("ssh-keygen", "-e", "-f", str(file))
    assert rfc4716.startswith(b"---- BEGIN SSH2 PUBLIC KEY ----")
    loaded = serialization.load_ssh_public_key(public.line.encode())
    der = loaded.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    forms = [
        file.read_bytes(),
        rfc4716,
        base64.b64encode(der),
        base64.encodebytes(der),
        rfc4716.replace(b"Comment:", b"X-Long: with a \\\ncontinued line\nComment:"),
    ]
    assert len({keys.read_public(form) for form in forms}) == 1


@pytest.mark.parametrize("kind", ["rsa", "ed25519"])
def test_a_ppk_file_holds_the_key_and_a_right_mac(kind):
    public, private = keys.make(kind, "ppk", "mine")
    lines = private.split("\r\n")
    fields = dict(line.split(": ", 1) for line in lines if ": " in line)
    algorithm, encoded = public.line.split()
    at = lines.index(f"Public-Lines: {fields['Public-Lines']}") + 1
    assert "".join(lines[at : at + int(fields["Public-Lines"])]) == encoded
    at = lines.index(f"Private-Lines: {fields['Private-Lines']}") + 1
    secret = base64.b64decode("".join(lines[at : at + int(fields["Private-Lines"])]))
    assert fields["PuTTY-User-Key-File-2"] == algorithm

    signed = b"".join(
        struct.pack(">I", len(part)) + part for part in (algorithm.encode(), b"none", b"mine", base64.b64decode(encoded), secret)
    )
    secret_key = hashlib.sha1(b"putty-private-key-file-mac-key").digest()
    assert fields["Private-MAC"] == hmac.new(secret_key, signed, "sha1").hexdigest()
    if kind == "ed25519":
        seed = ed25519.Ed25519PrivateKey.from_private_bytes(secret[4:])
        shown = seed.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
        assert shown.decode() == public.line


@needs_ssh_keygen
@pytest.mark.skipif(not shutil.which("puttygen"), reason="puttygen is not installed")
@pytest.mark.parametrize("kind", ["rsa", "ed25519"])
def test_puttygen_reads_a_ppk_file(tmp_path, kind):
    public, private = keys.make(kind, "ppk", "mine")
    file = tmp_path / "key.ppk"
    file.write_text(private, newline="")
    assert _run("puttygen", str(file), "-O", "public-openssh").decode().split()[:2] == public.line.split()


def _line(key) -> bytes:
    return key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)


def test_keys_that_ec2_does_not_take_are_refused():
    good, private = keys.make("ed25519", "pem", "mine")
    bad = [
        b"",
        b"nonsense",
        b"\xff\xfe",
        private.encode(),
        _line(ec.generate_private_key(ec.SECP256R1())),
        good.line.encode() + b"\n" + good.line.encode(),
        good.line.encode()[:-8],
        b"---- BEGIN SSH2 PUBLIC KEY ----\nAAAA\n",
        b"---- BEGIN SSH2 PUBLIC KEY ----\n" + good.line.split()[1].encode() + b"\n",
    ]
    for material in bad:
        with pytest.raises(keys.BadKey):
            keys.read_public(material)


def test_an_rsa_key_of_an_odd_length_is_refused():
    with pytest.raises(keys.BadKey, match="length"):
        keys.read_public(_line(rsa.generate_private_key(65537, 1536)))


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=400))
def test_no_material_does_worse_than_be_refused(material):
    try:
        keys.read_public(material)
    except keys.BadKey:
        pass


_GOOD = keys.make("ed25519", "pem", "mine")[0].line


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_damaged_line_is_refused_or_another_key(data):
    at = data.draw(st.integers(0, len(_GOOD) - 1))
    damaged = _GOOD[:at] + data.draw(st.characters(min_codepoint=32, max_codepoint=126)) + _GOOD[at + 1 :]
    try:
        assert keys.read_public(damaged.encode()).kind in ("rsa", "ed25519")
    except keys.BadKey:
        pass
