"""HPACK (RFC 7541), as much as reading and writing the headers of a few gRPC calls needs. Used by `http2`.

We write literals only. For what we read, the connection sets the size of the dynamic table to 0, so a peer
has nothing to refer to but the static table; Huffman coding it may still use. The trap: a peer that refers to
a dynamic entry all the same breaks the protocol (HpackError).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

Header = tuple[str, str]

_STATIC = (
    (":authority", ""), (":method", "GET"), (":method", "POST"), (":path", "/"), (":path", "/index.html"),
    (":scheme", "http"), (":scheme", "https"), (":status", "200"), (":status", "204"), (":status", "206"),
    (":status", "304"), (":status", "400"), (":status", "404"), (":status", "500"), ("accept-charset", ""),
    ("accept-encoding", "gzip, deflate"), ("accept-language", ""), ("accept-ranges", ""), ("accept", ""),
    ("access-control-allow-origin", ""), ("age", ""), ("allow", ""), ("authorization", ""),
    ("cache-control", ""), ("content-disposition", ""), ("content-encoding", ""), ("content-language", ""),
    ("content-length", ""), ("content-location", ""), ("content-range", ""), ("content-type", ""),
    ("cookie", ""), ("date", ""), ("etag", ""), ("expect", ""), ("expires", ""), ("from", ""), ("host", ""),
    ("if-match", ""), ("if-modified-since", ""), ("if-none-match", ""), ("if-range", ""),
    ("if-unmodified-since", ""), ("last-modified", ""), ("link", ""), ("location", ""), ("max-forwards", ""),
    ("proxy-authenticate", ""), ("proxy-authorization", ""), ("range", ""), ("referer", ""), ("refresh", ""),
    ("retry-after", ""), ("server", ""), ("set-cookie", ""), ("strict-transport-security", ""),
    ("transfer-encoding", ""), ("user-agent", ""), ("vary", ""), ("via", ""), ("www-authenticate", ""),
)  # fmt: skip
"""Appendix A; the first has index 1."""

# Appendix B: the length in bits of the code of each byte. The codes follow from it: they count up through
# the bytes in the order of length, then value.
_LENGTHS = bytes.fromhex(
    "0d171c1c1c1c1c1c1c181e1c1c1e1c1c1c1c1c1c1c1c1e1c1c1c1c1c1c1c1c1c"
    "060a0a0c0d06080b0a0a080b080606060505050606060606060607080f060c0a"
    "0d06070707070707070707070707070707070707070707070807080d130d0e06"
    "0f05060506050606060507070606060506070605050607070707070f0b0e0d1c"
    "1416141416161617161717171717181718181617181717171715161716171718"
    "1615141616171715171616181516171715151615171617171416161617161617"
    "1a1a1413161716191a1a1a1b1b1a181913151a1b1b1a1b1815151a1a1c1b1b1b"
    "14181415161515171616191918181a171a1b1a1a1b1b1b1b1b1c1b1b1b1b1b1a"
)
_LONGEST_PADDING = 7
_MAX_INTEGER_BYTES = 4


class HpackError(ValueError):
    """A header block that cannot be read."""


def encode(headers: Sequence[Header]) -> bytes:
    """The headers as literals that no table remembers. Names in lower case."""
    return b"".join(b"\x00" + _written(name) + _written(value) for name, value in headers)


def decode(block: bytes) -> list[Header]:
    """The headers of a whole block. Raises HpackError."""
    return list(_Reader(block).headers())


def _written(text: str) -> bytes:
    data = text.encode()
    if len(data) < 127:
        return bytes([len(data)]) + data
    rest, more = len(data) - 127, b""
    while rest >= 128:
        more += bytes([rest % 128 + 128])
        rest //= 128
    return b"\x7f" + more + bytes([rest]) + data


def _codes() -> dict[tuple[int, int], int]:
    """Byte values by length and code."""
    found: dict[tuple[int, int], int] = {}
    code = before = 0
    for value in sorted(range(256), key=lambda value: (_LENGTHS[value], value)):
        code <<= _LENGTHS[value] - before
        before = _LENGTHS[value]
        found[before, code] = value
        code += 1
    return found


_CODES = _codes()


def unhuffman(data: bytes) -> bytes:
    """The text behind Huffman codes. Raises HpackError."""
    out = bytearray()
    code = length = 0
    for byte in data:
        for shift in range(7, -1, -1):
            code, length = code << 1 | byte >> shift & 1, length + 1
            value = _CODES.get((length, code))
            if value is not None:
                out.append(value)
                code = length = 0
    # What is left is padding: the first bits of the longest code, which are ones.
    if length > _LONGEST_PADDING or code != (1 << length) - 1:
        raise HpackError("a Huffman code is cut off")
    return bytes(out)


class _Reader:
    """Reads one block from the front."""

    def __init__(self, block: bytes) -> None:
        self._block = block
        self._at = 0

    def headers(self) -> Iterator[Header]:
        while self._at < len(self._block):
            first = self._block[self._at]
            if first & 0x80:
                yield self._entry(self._integer(7))
            elif first & 0xE0 == 0x20:
                self._integer(5)  # the size of the dynamic table; ours to limit, and it is 0
            else:
                name = self._integer(6 if first & 0x40 else 4)
                yield (self._entry(name)[0] if name else self._text()), self._text()

    def _entry(self, index: int) -> Header:
        if not 1 <= index <= len(_STATIC):
            raise HpackError(f"header {index} is in no table; the dynamic one was set to size 0")
        return _STATIC[index - 1]

    def _byte(self) -> int:
        if self._at >= len(self._block):
            raise HpackError("a header block is cut off")
        self._at += 1
        return self._block[self._at - 1]

    def _integer(self, bits: int) -> int:
        most = (1 << bits) - 1
        value = self._byte() & most
        if value < most:
            return value
        for place in range(_MAX_INTEGER_BYTES):
            byte = self._byte()
            value += (byte & 127) << 7 * place
            if byte < 128:
                return value
        raise HpackError("a number in a header block is too large")

    def _text(self) -> str:
        if self._at >= len(self._block):
            raise HpackError("a header block is cut off")
        is_huffman = bool(self._block[self._at] & 0x80)
        length = self._integer(7)
        data = self._block[self._at : self._at + length]
        if len(data) < length:
            raise HpackError("a header block is cut off")
        self._at += length
        return (unhuffman(data) if is_huffman else data).decode("utf-8", "replace")
