"""A gate in front of a real Prometheus: ends TLS, demands what it is told to, and writes down how it was asked."""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.message import Message
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit
from urllib.request import Request, urlopen

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.promises.metering.proxy import Proxy


class Gate(Proxy):
    def __init__(
        self,
        target: str,
        demand: Callable[[Message], bool] = lambda headers: True,
        context: ssl.SSLContext | None = None,
    ) -> None:
        super().__init__(target)
        self.asked_with: list[tuple[str, Mapping[str, str], Message]] = []
        self._demand = demand
        if context is not None:
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
            self.url = self.url.replace("http://", "https://")

    def _answer(self, door: BaseHTTPRequestHandler) -> None:
        if self._demand(door.headers):
            super()._answer(door)
            return
        door.rfile.read(int(door.headers.get("Content-Length") or 0))
        door.close_connection = True
        door.send_response(401)
        door.send_header("Content-Length", "0")
        door.end_headers()

    def _ask(self, door: BaseHTTPRequestHandler, form: bytes | None) -> tuple[int, str, bytes]:
        path = urlsplit(door.path)
        written = form if "form" in door.headers.get("Content-Type", "") else b""
        asked = dict(parse_qsl(path.query)) | dict(parse_qsl((written or b"").decode()))
        self.asked_with.append((path.path, asked, door.headers))
        # The body goes on as it came: remote read's is compressed, and says so in its headers.
        about = {name: value for name, value in door.headers.items() if name.lower().startswith(("content-", "x-prom"))}
        with urlopen(Request(f"{self.target}{door.path}", data=form, headers=about), timeout=60) as answer:
            return answer.status, answer.headers["Content-Type"], answer.read()


@dataclass
class Authority:
    """Signs certificates for a day."""

    folder: Path
    name: str = "authority"
    _key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    def __post_init__(self) -> None:
        constraints = x509.BasicConstraints(ca=True, path_length=0)
        builder = self._builder(self.name, self._key).add_extension(constraints, critical=True)
        self._certificate = builder.sign(self._key, hashes.SHA256())
        self.file = self.folder / f"{self.name}.pem"
        self.file.write_bytes(self._certificate.public_bytes(serialization.Encoding.PEM))

    def signed(self, name: str) -> tuple[Path, Path]:
        """A certificate for loopback and its key, as files."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
        certificate = self._builder(name, key).add_extension(names, critical=False).sign(self._key, hashes.SHA256())
        files = self.folder / f"{name}.crt", self.folder / f"{name}.key"
        files[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        pem = serialization.PrivateFormat.PKCS8
        files[1].write_bytes(key.private_bytes(serialization.Encoding.PEM, pem, serialization.NoEncryption()))
        return files

    def server(self) -> ssl.SSLContext:
        """Shows a certificate, and demands one of ours."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.signed("server"))
        context.load_verify_locations(self.file)
        context.verify_mode = ssl.CERT_REQUIRED
        return context

    def _builder(self, name: str, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self.name)]))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(days=1))
        )
