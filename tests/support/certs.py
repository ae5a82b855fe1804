"""Certificates for tests, made with the `openssl` command: EC keys, so that each takes milliseconds.

ca = Authority.make(folder, "senders")
pair = ca.issue("shop", uris=["spiffe://x/shop"], dns=["shop.internal"])
pair.certificate, pair.key, ca.certificate     # paths of PEM files
"""

from __future__ import annotations

import ssl
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import grpc

_EC = ("-pkeyopt", "ec_paramgen_curve:P-256")


@dataclass(frozen=True)
class Pair:
    """A certificate and its key, as PEM files."""

    certificate: Path
    key: Path


@dataclass(frozen=True)
class Authority:
    """A CA in a folder."""

    folder: Path
    name: str

    @property
    def certificate(self) -> Path:
        """What others trust."""
        return self.folder / f"{self.name}.pem"

    @property
    def key(self) -> Path:
        """What signs."""
        return self.folder / f"{self.name}.key"

    @classmethod
    def make(cls, folder: Path, name: str, *, days: int = 3650) -> Authority:
        """A new one."""
        folder.mkdir(parents=True, exist_ok=True)
        made = cls(folder, name)
        _openssl(
            "req", "-x509", "-newkey", "ec", *_EC, "-nodes", "-days", str(days), "-subj", f"/CN={name}",
            "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign",
            "-keyout", str(made.key), "-out", str(made.certificate),
        )  # fmt: skip
        return made

    def issue(
        self,
        name: str,
        *,
        uris: Sequence[str] = (),
        dns: Sequence[str] = (),
        ips: Sequence[str] = (),
        usage: str = "serverAuth,clientAuth",
        expired: bool = False,
    ) -> Pair:
        """A certificate with these alternative names and `name` as its common name."""
        names = [*(f"URI:{u}" for u in uris), *(f"DNS:{d}" for d in dns), *(f"IP:{i}" for i in ips)]
        pair = Pair(self.folder / f"{name}.pem", self.folder / f"{name}.key")
        request, extensions = self.folder / f"{name}.csr", self.folder / f"{name}.ext"
        extensions.write_text(
            f"extendedKeyUsage={usage}\n" + (f"subjectAltName={','.join(names)}\n" if names else "")
        )
        _openssl(
            "req", "-new", "-newkey", "ec", *_EC, "-nodes", "-subj", f"/CN={name}",
            "-keyout", str(pair.key), "-out", str(request),
        )  # fmt: skip
        # `-days -1` makes one that ended yesterday before it began, which is as invalid as any.
        _openssl(
            "x509", "-req", "-in", str(request), "-CA", str(self.certificate), "-CAkey", str(self.key),
            "-days", "-1" if expired else "30", "-extfile", str(extensions), "-out", str(pair.certificate),
        )  # fmt: skip
        pair.key.chmod(0o600)
        return pair


SHOP_URI = "spiffe://test/ns/shop/sa/checkout"


@dataclass(frozen=True)
class Pki:
    """What most tests need: a server, senders of a CA of their own, and strangers."""

    folder: Path
    servers: Authority
    senders: Authority
    strangers: Authority
    server: Pair
    renewed: Pair
    """The same server's next certificate."""
    shop: Pair
    """A sender with the URI SHOP_URI."""
    billing: Pair
    """A sender with the DNS name billing.internal."""

    @property
    def long(self) -> Path:
        """A certificate that is valid until after 2049."""
        return Authority.make(self.folder, "long", days=30_000).certificate

    @classmethod
    def make(cls, folder: Path) -> Pki:
        """All of it, in a folder."""
        servers, senders = Authority.make(folder, "servers"), Authority.make(folder, "senders")
        here: dict[str, Sequence[str]] = {"dns": ["localhost"], "ips": ["127.0.0.1", "::1"]}
        return cls(
            folder,
            servers,
            senders,
            Authority.make(folder, "strangers"),
            servers.issue("server", **here),
            servers.issue("renewed", **here),
            senders.issue("shop", uris=[SHOP_URI]),
            senders.issue("billing", dns=["billing.internal"]),
        )

    def trust(self, client: Pair | None = None) -> ssl.SSLContext:
        """How a client believes the server, and which certificate it shows."""
        context = ssl.create_default_context(cafile=self.servers.certificate)
        if client is not None:
            context.load_cert_chain(client.certificate, client.key)
        return context

    def channel(self, client: Pair | None = None) -> grpc.ChannelCredentials:
        """The same for gRPC."""
        return grpc.ssl_channel_credentials(
            self.servers.certificate.read_bytes(),
            *((None, None) if client is None else (client.key.read_bytes(), client.certificate.read_bytes())),
        )


def encrypted(pair: Pair) -> Pair:
    """The same with a key that takes a password."""
    locked = Pair(pair.certificate, pair.key.with_suffix(".locked.key"))
    _openssl("pkey", "-in", str(pair.key), "-aes256", "-passout", "pass:secret", "-out", str(locked.key))
    locked.key.chmod(0o600)
    return locked


def _openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True, timeout=60)
