"""Reads from a certificate when it is valid: the one thing about our own certificate that Python's `ssl`
does not tell.

RFC 5280 4.1: Certificate { TBSCertificate { [0] version, serial, algorithm, issuer, validity ... } ... }.
"""

from __future__ import annotations

import re
import ssl
from datetime import UTC, datetime
from typing import Final, NamedTuple

_SEQUENCE, _VERSION, _UTC_TIME, _GENERALIZED_TIME = 0x30, 0xA0, 0x17, 0x18
_PEM: Final = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


class Validity(NamedTuple):
    """From when until when, both inclusive."""

    not_before: datetime
    not_after: datetime


def certificates_in(pem: bytes) -> list[bytes]:
    """Every certificate of a PEM file, as DER, in its order. Raises ValueError."""
    return [ssl.PEM_cert_to_DER_cert(found.decode("ascii")) for found in _PEM.findall(pem)]


def validity_of(der: bytes) -> Validity:
    """When a certificate is valid. Raises ValueError for what is no certificate."""
    try:
        _, certificate, _ = _element(der)
        _, rest, _ = _element(certificate)
        if rest[0] == _VERSION:
            _, _, rest = _element(rest)
        for _ in ("serial", "algorithm", "issuer"):
            _, _, rest = _element(rest)
        tag, validity, _ = _element(rest)
        if tag != _SEQUENCE:
            raise ValueError("there is no validity where it should be")
        first_tag, first, rest = _element(validity)
        last_tag, last, _ = _element(rest)
        return Validity(_instant(first_tag, first), _instant(last_tag, last))
    except IndexError as error:
        raise ValueError("the certificate is cut off") from error


def _element(data: bytes) -> tuple[int, bytes, bytes]:
    """The first element of DER: its tag, its content, and what comes after it."""
    length, begin = data[1], 2
    if length >= 0x80:
        begin += length & 0x7F
        length = int.from_bytes(data[2:begin], "big")
    if len(data) < begin + length:
        raise ValueError("the certificate is cut off")
    return data[0], data[begin : begin + length], data[begin + length :]


def _instant(tag: int, written: bytes) -> datetime:
    """RFC 5280 4.1.2.5: two digits of the year count from 1950."""
    text = written.decode("ascii")
    if tag == _UTC_TIME:
        text = ("19" if text[:2] >= "50" else "20") + text
    elif tag != _GENERALIZED_TIME:
        raise ValueError("a validity is no time")
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)
