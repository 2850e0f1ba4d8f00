"""Identity providers of our own, on loopback: an OpenID Connect issuer behind real TLS, and a SAML provider that signs."""

from __future__ import annotations

import base64
import datetime
import hashlib
import json
import ssl
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

BEGIN = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
END = datetime.datetime(2045, 1, 1, tzinfo=datetime.UTC)


def name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def pem(key: Any) -> bytes:
    form = serialization.PrivateFormat.PKCS8
    encoded: bytes = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    return encoded


def certificate(
    subject: str,
    key: Any,
    issuer: str = "",
    by: Any = None,
    names: tuple[str, ...] = (),
    end: datetime.datetime = END,
) -> x509.Certificate:
    """Self-signed without ``by``."""
    builder = (
        x509.CertificateBuilder()
        .subject_name(name(subject))
        .issuer_name(name(issuer or subject))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(BEGIN)
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(by is None, None), critical=True)
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(each) for each in names]), critical=False)
    signer = by or key
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    builder = builder.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    return builder.sign(signer, hashes.SHA256())


def thumbprint(of: x509.Certificate) -> str:
    return hashlib.sha1(of.public_bytes(serialization.Encoding.DER), usedforsecurity=False).hexdigest()


class Issuer:
    """An OpenID Connect provider. ``answers`` can be given other answers by path; ``asked`` lists the paths that were asked."""

    def __init__(self, folder: Path, names: tuple[str, ...] = ("localhost",)) -> None:
        authority = ec.generate_private_key(ec.SECP256R1())
        self.authority = certificate("authority", authority)
        key = ec.generate_private_key(ec.SECP256R1())
        leaf = certificate("issuer", key, "authority", authority, names)
        self.leaf = leaf
        chain = folder / "issuer.pem"
        encoding = serialization.Encoding.PEM
        chain.write_bytes(leaf.public_bytes(encoding) + self.authority.public_bytes(encoding) + pem(key))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(chain)
        self.keys: dict[str, Any] = {}
        self.asked: list[str] = []
        self.answers: dict[str, Callable[[BaseHTTPRequestHandler], None]] = {}
        self._server = _Server(("127.0.0.1", 0), self._handler(), context)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        self.rotate("rsa-1")

    @property
    def host(self) -> str:
        return f"localhost:{self.port}"

    @property
    def url(self) -> str:
        return f"https://{self.host}"

    def rotate(self, kid: str, curve: Any = None) -> None:
        """The keys are from now on this one alone."""
        self.keys = {}
        self.add(kid, curve)

    def add(self, kid: str, curve: Any = None, bits: int = 2048) -> None:
        self.keys[kid] = rsa.generate_private_key(65537, bits) if curve is None else ec.generate_private_key(curve)

    def jwk(self, kid: str) -> dict[str, Any]:
        key = self.keys[kid]
        if isinstance(key, rsa.RSAPrivateKey):
            made = jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
        else:
            made = jwt.algorithms.ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
        return {**made, "kid": kid, "use": "sig"}

    def token(self, now: datetime.datetime, kid: str | None = None, algorithm: str = "", **claims: Any) -> str:
        """Signed by the named key, or the only one. A claim that is None is left out."""
        kid = kid or next(iter(self.keys))
        key = self.keys[kid]
        at = int(now.timestamp())
        told = {"iss": self.url, "sub": "user-1", "aud": "client-1", "iat": at, "exp": at + 600} | claims
        usual = "RS256" if isinstance(key, rsa.RSAPrivateKey) else "ES256"
        return jwt.encode(
            {name: value for name, value in told.items() if value is not None}, key, algorithm or usual, {"kid": kid}
        )

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.asked.append(self.path)
                found = issuer.answers.get(self.path)
                if found is not None:
                    found(self)
                elif self.path == "/.well-known/openid-configuration":
                    answer(self, {"issuer": issuer.url, "jwks_uri": f"{issuer.url}/jwks"})
                elif self.path == "/jwks":
                    answer(self, {"keys": [issuer.jwk(kid) for kid in issuer.keys]})
                else:
                    self.send_error(404)

            def log_message(self, *_: Any) -> None:
                pass

        return Handler

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, where: tuple[str, int], handler: type[BaseHTTPRequestHandler], context: ssl.SSLContext) -> None:
        self._context = context
        super().__init__(where, handler)

    def finish_request(self, request: Any, client_address: Any) -> None:
        try:
            request.settimeout(10)
            with self._context.wrap_socket(request, server_side=True) as secured:
                super().finish_request(secured, client_address)
        except OSError:
            pass


def answer(handler: BaseHTTPRequestHandler, body: Any, status: int = 200, **headers: str) -> None:
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    handler.send_response(status)
    for header, value in headers.items():
        handler.send_header(header.replace("_", "-"), value)
    handler.send_header("Content-Length", str(len(text)))
    handler.end_headers()
    handler.wfile.write(text)


def slowly(handler: BaseHTTPRequestHandler) -> None:
    """A byte now and then, for as long as anybody listens."""
    handler.send_response(200)
    handler.send_header("Content-Length", "100000")
    handler.end_headers()
    for _ in range(60):
        handler.wfile.write(b" ")
        time.sleep(0.2)


def unsigned(token: str, header: dict[str, Any], claims: dict[str, Any] | None = None, signature: bytes | None = None) -> str:
    """The token with another head (and other claims), its signature as it was or another."""
    parts = token.split(".")
    parts[0] = _encoded(header)
    if claims is not None:
        parts[1] = _encoded(claims)
    if signature is not None:
        parts[2] = base64.urlsafe_b64encode(signature).decode().rstrip("=")
    return ".".join(parts)


def _encoded(value: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")
