"""Fetching a page: the only place where Lowtide's server opens connections of its own accord, and only to
what the settings name.

Nothing is followed: a redirect is a failure, so that credentials go to the target and nowhere else. The
environment's proxies do not count. The trap: an answer may be endless, or small and decompress to gigabytes;
both are counted while they come. Messages have the address of a target without its query, where secrets may
stand, and nothing of the headers.
"""

from __future__ import annotations

import base64
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import httpx2

from collector.codecs import Encoding
from collector.scrape.errors import Reason, ScrapeError, ScrapeStartError
from collector.scrape.settings import Format, ScrapeJob

_MEDIA: Final = {
    Format.OPENMETRICS: "application/openmetrics-text;version=1.0.0",
    Format.TEXT: "text/plain;version=0.0.4",
}
_MEDIA_NAMES: Final = {
    "application/openmetrics-text": Format.OPENMETRICS,
    "text/plain": Format.TEXT,
}
_ENCODINGS: Final = {"": Encoding.IDENTITY, "identity": Encoding.IDENTITY, "gzip": Encoding.GZIP}
MAX_SECRET_BYTES: Final = 64 * 1024
_IDLE_S: Final = 300.0


@dataclass(frozen=True, slots=True)
class Fetched:
    """A page as it came."""

    data: bytes
    encoding: Encoding
    format: Format


class Fetcher:
    """Fetches the pages of one job."""

    def __init__(self, job: ScrapeJob, place: str) -> None:
        """`place` names the job in errors. Reads the files the job names; raises ScrapeStartError."""
        self._job = job
        for name in ("bearer_token_file", "password_file"):
            path = getattr(job, name)
            if path is not None:
                _readable(path, f"{place}.{name}")
        self._http = httpx2.AsyncClient(
            verify=_trust(job, place),
            trust_env=False,
            proxy=job.proxy_url,
            follow_redirects=False,
            timeout=job.timeout_s,
            limits=httpx2.Limits(
                max_connections=None, max_keepalive_connections=None, keepalive_expiry=_IDLE_S
            ),
        )

    async def fetch(self, url: str, grow: Callable[[int], None], formats: Sequence[Format]) -> Fetched:
        """One page, not yet decompressed, in one of these formats, the best one first. `grow` is told of what
        was read, and may raise.

        Raises ScrapeError. The caller limits the time.
        """
        try:
            async with self._http.stream(
                "GET", url, headers=self._headers(formats), extensions=self._extensions()
            ) as answer:
                format_ = self._format_of(answer)
                encoding = _encoding_of(answer)
                stated = answer.headers.get("content-length", "")
                self._refuse_large(int(stated) if stated.isdecimal() else 0)
                pieces = bytearray()
                async for piece in answer.aiter_raw():
                    grow(len(piece))
                    pieces += piece
                    self._refuse_large(len(pieces))
                return Fetched(bytes(pieces), encoding, format_)
        except httpx2.TimeoutException as error:
            raise ScrapeError(Reason.TIMEOUT, "the target did not answer in time") from error
        except (httpx2.HTTPError, httpx2.InvalidURL, ssl.SSLError) as error:
            what = str(error)[:200] or type(error).__name__
            raise ScrapeError(Reason.CONNECT, f"the target could not be asked: {what}") from error

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    def _headers(self, formats: Sequence[Format]) -> dict[str, str]:
        job = self._job
        accepted = (f"{_MEDIA[wanted]};q={1 - number / 10:g}" for number, wanted in enumerate(formats))
        headers = {
            "accept": ",".join(accepted),
            "accept-encoding": "gzip",
            "user-agent": "lowtide",
            "x-prometheus-scrape-timeout-seconds": f"{job.timeout_s:g}",
        }
        # Read anew each time: Kubernetes renews the tokens of service accounts.
        if job.bearer_token_file is not None:
            token = _secret(job.bearer_token_file)
            if not token.isascii():
                raise ScrapeError(Reason.CREDENTIALS, f"{job.bearer_token_file} holds no token")
            headers["authorization"] = f"Bearer {token}"
        elif job.password_file is not None:
            pair = f"{job.username}:{_secret(job.password_file)}"
            headers["authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        return headers

    def _extensions(self) -> dict[str, object]:
        return {"sni_hostname": self._job.server_name} if self._job.server_name else {}

    def _format_of(self, answer: httpx2.Response) -> Format:
        if answer.is_redirect:
            host = urlsplit(answer.headers.get("location", "")).hostname or "itself"
            raise ScrapeError(
                Reason.REDIRECT, f"the target sends us on to {host[:100]}; name that address in the settings"
            )
        if answer.status_code != httpx2.codes.OK:
            raise ScrapeError(Reason.STATUS, f"the target answered {answer.status_code}")
        kind = answer.headers.get("content-type", "")
        found = _MEDIA_NAMES.get(kind.split(";")[0].strip().lower(), self._job.fallback_format)
        if found is None:
            raise ScrapeError(
                Reason.CONTENT_TYPE,
                f"the target sent {kind[:100]!r}, which is no format of metrics; if it is one all the same, "
                "set fallback_format",
            )
        return found

    def _refuse_large(self, size_bytes: int) -> None:
        if size_bytes > self._job.max_wire_bytes:
            raise ScrapeError(
                Reason.TOO_LARGE, f"the page is larger than max_wire_bytes, {self._job.max_wire_bytes}"
            )


def shown(url: str) -> str:
    """An address for logs: without its query, where keys may stand."""
    return url.partition("?")[0]


def _encoding_of(answer: httpx2.Response) -> Encoding:
    name = answer.headers.get("content-encoding", "").strip().lower()
    if name not in _ENCODINGS:
        raise ScrapeError(Reason.ENCODING, f"the page is encoded as {name[:40]!r}; gzip was offered")
    return _ENCODINGS[name]


def _secret(path: Path) -> str:
    try:
        with path.open("rb") as file:
            text = file.read(MAX_SECRET_BYTES).decode().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ScrapeError(Reason.CREDENTIALS, f"{path} cannot be read") from error
    if not text or not text.isprintable():
        raise ScrapeError(Reason.CREDENTIALS, f"{path} holds no single line of text")
    return text


def _readable(path: Path, place: str) -> None:
    try:
        _secret(path)
    except ScrapeError as error:
        raise ScrapeStartError(f"{place}: {error}") from error


def _trust(job: ScrapeJob, place: str) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=job.ca_file)
    except (OSError, ssl.SSLError) as error:
        raise ScrapeStartError(
            f"{place}.ca_file: {job.ca_file} holds no certificates in PEM ({error})"
        ) from error
    if job.certificate_file is not None:
        try:
            context.load_cert_chain(job.certificate_file, job.key_file, password="")
        except (OSError, ssl.SSLError) as error:
            raise ScrapeStartError(
                f"{place}.certificate_file: {job.certificate_file} and {job.key_file} cannot be used"
                f" ({error})"
            ) from error
    return context
