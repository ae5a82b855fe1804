"""Every codec reads what its encoders write, and stops at the limit whatever the data claims."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable

import cramjam
import google_crc32c
import lz4.frame  # type: ignore[import-untyped]  # ships no types
import pytest
from backports import zstd
from hypothesis import given, settings
from hypothesis import strategies as st

from collector import codecs
from collector.codecs import Encoding, encoding_named, encoding_of_message, expected_bytes, inflate
from collector.errors import BadRequestError
from collector.refusals import OverloadedError, TooLargeError, UnsupportedTypeError
from support import faults

MIB = 1024 * 1024


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


def snappy_framed(data: bytes) -> bytes:
    return bytes(cramjam.snappy.compress(data))


def snappy_block(data: bytes) -> bytes:
    return bytes(cramjam.snappy.compress_raw(data))


ENCODERS: dict[str, tuple[Encoding, Callable[[bytes], bytes]]] = {
    "identity": (Encoding.IDENTITY, bytes),
    "gzip": (Encoding.GZIP, gzip.compress),
    "deflate with header": (Encoding.DEFLATE, zlib.compress),
    "deflate without header": (Encoding.DEFLATE, raw_deflate),
    "zstd": (Encoding.ZSTD, zstd.compress),
    "lz4": (Encoding.LZ4, lz4.frame.compress),
    "snappy framed": (Encoding.SNAPPY, snappy_framed),
    "snappy block": (Encoding.SNAPPY, snappy_block),
}
COMPRESSED = [name for name in ENCODERS if name != "identity"]
# Bodies of several steps, incompressible and highly compressible, and the sizes around a step.
SAMPLES = {
    "short": b"\x0a\x00",
    "text": b"GET /api/orders/1234 200 " * 5000,
    "zeros": bytes(5 * MIB + 3),
    "one step": bytes(codecs.STEP_BYTES),
    "a step and one": bytes(codecs.STEP_BYTES + 1),
    "noise": b"".join(google_crc32c.value(i.to_bytes(4, "big")).to_bytes(4, "big") for i in range(400_000)),
}


def ignore(_size: int) -> None:
    """Nobody counts."""


@pytest.mark.parametrize("sample", SAMPLES)
@pytest.mark.parametrize("name", ENCODERS)
def test_reads_what_encoders_write(name: str, sample: str) -> None:
    encoding, encode = ENCODERS[name]
    counted: list[int] = []
    data = SAMPLES[sample]
    assert inflate(encoding, encode(data), limit_bytes=8 * MIB, grow=counted.append) == data
    assert sum(counted) == (0 if encoding is Encoding.IDENTITY else len(data))


@pytest.mark.parametrize("name", ENCODERS)
def test_the_limit_is_exact(name: str) -> None:
    encoding, encode = ENCODERS[name]
    wire = encode(SAMPLES["text"])
    size = len(SAMPLES["text"])
    assert inflate(encoding, wire, limit_bytes=size, grow=ignore) == SAMPLES["text"]
    with pytest.raises(TooLargeError, match=str(size - 1)):
        inflate(encoding, wire, limit_bytes=size - 1, grow=ignore)


@pytest.mark.parametrize("name", COMPRESSED)
def test_every_truncation_is_refused(name: str) -> None:
    encoding, encode = ENCODERS[name]
    wire = encode(SAMPLES["text"])
    for size in {*range(min(len(wire), 40)), len(wire) // 2, len(wire) - 1}:
        if name == "snappy framed" and size == 10:
            continue  # the stream's header alone is a complete stream without data
        with pytest.raises(BadRequestError):
            inflate(encoding, wire[:size], limit_bytes=MIB, grow=ignore)


@pytest.mark.parametrize("name", COMPRESSED)
def test_trailing_garbage_is_refused(name: str) -> None:
    encoding, encode = ENCODERS[name]
    with pytest.raises(BadRequestError):
        inflate(encoding, encode(b"hello" * 100) + b"garbage", limit_bytes=MIB, grow=ignore)


@pytest.mark.parametrize("name", COMPRESSED)
def test_a_wrong_encoding_is_refused(name: str) -> None:
    encoding, _ = ENCODERS[name]
    with pytest.raises(BadRequestError):
        inflate(encoding, b"\x0a\x05hello", limit_bytes=MIB, grow=ignore)


@pytest.mark.parametrize("name", ["gzip", "zstd", "lz4"])
def test_several_frames_are_one_body(name: str) -> None:
    encoding, encode = ENCODERS[name]
    wire = encode(b"one ") + encode(SAMPLES["zeros"]) + encode(b" two")
    assert inflate(encoding, wire, limit_bytes=8 * MIB, grow=ignore) == b"one " + SAMPLES["zeros"] + b" two"


@pytest.mark.parametrize("name", ["gzip", "zstd", "lz4"])
def test_endless_empty_frames_are_refused(name: str) -> None:
    encoding, encode = ENCODERS[name]
    at_most = encode(b"") * codecs.MAX_FRAMES
    assert inflate(encoding, at_most, limit_bytes=MIB, grow=ignore) == b""
    with pytest.raises(BadRequestError, match="frames"):
        inflate(encoding, at_most + encode(b""), limit_bytes=MIB, grow=ignore)


def test_what_a_gzip_body_says_of_its_size_is_expected() -> None:
    wire = gzip.compress(bytes(300_000))
    assert expected_bytes(Encoding.GZIP, wire) == 300_000
    assert expected_bytes(Encoding.DEFLATE, wire) == len(wire)
    assert expected_bytes(Encoding.IDENTITY, b"\n" * 50) == 50


@pytest.mark.parametrize("wire", [b"", b"\x1f", b"\x1f\x8b" + bytes(20)])
def test_expecting_takes_any_bytes(wire: bytes) -> None:
    assert expected_bytes(Encoding.GZIP, wire) >= len(wire)


def test_a_zstd_skippable_frame_is_skipped() -> None:
    skippable = b"\x50\x2a\x4d\x18" + (3).to_bytes(4, "little") + b"abc"
    wire = skippable + zstd.compress(b"data")
    assert inflate(Encoding.ZSTD, wire, limit_bytes=MIB, grow=ignore) == b"data"


def test_a_zstd_window_above_8_mib_is_refused() -> None:
    options = {zstd.CompressionParameter.window_log: 24, zstd.CompressionParameter.content_size_flag: 0}
    packer = zstd.ZstdCompressor(options=options)
    wire = packer.compress(b"x" * 100) + packer.flush()
    with pytest.raises(BadRequestError, match="8 MiB"):
        inflate(Encoding.ZSTD, wire, limit_bytes=MIB, grow=ignore)


def test_a_zstd_window_of_8_mib_is_read() -> None:
    options = {zstd.CompressionParameter.window_log: 23, zstd.CompressionParameter.content_size_flag: 0}
    packer = zstd.ZstdCompressor(options=options)
    wire = packer.compress(b"x" * 100) + packer.flush()
    assert inflate(Encoding.ZSTD, wire, limit_bytes=MIB, grow=ignore) == b"x" * 100


def test_the_work_stops_when_the_budget_does() -> None:
    pieces = 0

    def refuse_the_third(_size: int) -> None:
        nonlocal pieces
        pieces += 1
        if pieces == 3:
            raise OverloadedError("full")

    with pytest.raises(OverloadedError):
        inflate(Encoding.ZSTD, zstd.compress(bytes(20 * MIB)), limit_bytes=64 * MIB, grow=refuse_the_third)
    assert pieces == 3


def test_what_gzip_says_it_takes_is_asked_for_before_it_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> bytearray:
        raise AssertionError

    monkeypatch.setattr(codecs.deflate, "gzip_decompress", never)
    asked: list[int] = []

    def refuse(size_bytes: int) -> None:
        asked.append(size_bytes)
        raise OverloadedError("full")

    with pytest.raises(OverloadedError):
        inflate(Encoding.GZIP, gzip.compress(bytes(20 * MIB)), limit_bytes=64 * MIB, grow=refuse)
    assert asked == [20 * MIB]


@given(st.lists(st.binary(max_size=50) | st.sampled_from([b"a", b"a" * 3000]), min_size=1, max_size=4))
def test_members_of_gzip_are_one_body(parts: list[bytes]) -> None:
    """Also such as are alike, or of one size."""
    wire = b"".join(gzip.compress(part) for part in parts)
    asked: list[int] = []
    body = inflate(Encoding.GZIP, wire, limit_bytes=MIB, grow=asked.append)
    assert body == b"".join(parts)
    assert sum(asked) == len(body)


ONE = gzip.compress(b"a" * 3000, mtime=0)
WRONG_SIZES = (0, 1, 2999, 3001, 10_000, 2**32 - 1)
BAD_ENDS = {
    "its end again": ONE + ONE[-8:], "its size again": ONE + ONE[-4:], "a byte": ONE + b"x",
    "zeros": ONE + bytes(20), "another checksum": ONE[:-8] + bytes(4) + ONE[-4:], "cut off": ONE[:-1],
    **{f"size {size}": ONE[:-4] + size.to_bytes(4, "little") for size in WRONG_SIZES},
}  # fmt: skip


@pytest.mark.parametrize("wire", BAD_ENDS.values(), ids=BAD_ENDS.keys())
def test_gzip_that_does_not_end_as_it_should_is_refused(wire: bytes) -> None:
    with pytest.raises(BadRequestError):
        inflate(Encoding.GZIP, wire, limit_bytes=MIB, grow=ignore)


def test_a_size_that_cannot_be_is_not_asked_for() -> None:
    asked: list[int] = []
    wire = ONE[:-4] + (40 * MIB).to_bytes(4, "little")
    with pytest.raises(BadRequestError):
        inflate(Encoding.GZIP, wire, limit_bytes=64 * MIB, grow=asked.append)
    assert sum(asked) <= 3000


@pytest.mark.parametrize("name", COMPRESSED)
def test_no_piece_is_larger_than_a_step(name: str) -> None:
    encoding, encode = ENCODERS[name]
    pieces: list[int] = []
    inflate(encoding, encode(SAMPLES["zeros"]), limit_bytes=8 * MIB, grow=pieces.append)
    # These state their length, which is compared with the limit before they are decompressed at once.
    assert max(pieces) <= (8 * MIB if name in ("gzip", "snappy block") else codecs.STEP_BYTES)


class TestSnappy:
    HEADER = b"\xff\x06\x00\x00sNaPpY"

    @staticmethod
    def chunk(kind: int, data: bytes) -> bytes:
        return bytes([kind]) + len(data).to_bytes(3, "little") + data

    @staticmethod
    def masked(data: bytes) -> bytes:
        crc = google_crc32c.value(data)
        return (((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF).to_bytes(4, "little")

    def inflate(self, wire: bytes, limit_bytes: int = MIB) -> bytes:
        return inflate(Encoding.SNAPPY, wire, limit_bytes=limit_bytes, grow=ignore)

    def test_a_stated_length_above_the_limit_is_refused_unread(self) -> None:
        with pytest.raises(TooLargeError):
            self.inflate(b"\xff\xff\xff\xff\x0f" + b"\x00a")

    def test_a_stated_length_that_cannot_be_true_is_refused(self) -> None:
        with pytest.raises(BadRequestError):
            self.inflate(b"\x80\x80\x20" + b"\x00a")  # 512 KiB from two bytes

    def test_a_length_that_is_no_number_is_refused(self) -> None:
        with pytest.raises(BadRequestError):
            self.inflate(b"\xff" * 20)

    def test_padding_and_repeated_headers_are_skipped(self) -> None:
        data = self.chunk(1, self.masked(b"abc") + b"abc")
        wire = self.HEADER + self.chunk(0xFE, b"padding") + self.HEADER + data + self.chunk(0x80, b"")
        assert self.inflate(wire) == b"abc"

    def test_a_wrong_checksum_is_refused(self) -> None:
        with pytest.raises(BadRequestError):
            self.inflate(self.HEADER + self.chunk(1, self.masked(b"abc") + b"abd"))

    def test_a_reserved_chunk_is_refused(self) -> None:
        with pytest.raises(BadRequestError):
            self.inflate(self.HEADER + self.chunk(2, b"abc"))

    def test_a_chunk_without_checksum_is_refused(self) -> None:
        with pytest.raises(BadRequestError):
            self.inflate(self.HEADER + self.chunk(1, b"abc"))

    def test_another_header_inside_is_refused(self) -> None:
        with pytest.raises(BadRequestError):
            self.inflate(self.HEADER + self.chunk(0xFF, b"sNaPpX"))

    @pytest.mark.parametrize("kind", [0, 1])
    def test_a_chunk_above_64_kib_is_refused(self, kind: int) -> None:
        data = bytes(65537)
        packed = snappy_block(data) if kind == 0 else data
        with pytest.raises(BadRequestError):
            self.inflate(self.HEADER + self.chunk(kind, self.masked(data) + packed))

    def test_endless_empty_chunks_are_refused(self) -> None:
        with pytest.raises(BadRequestError, match="chunks"):
            self.inflate(self.HEADER + self.chunk(0xFE, b"") * 65536)


@pytest.mark.parametrize(
    ("header", "encoding"),
    [
        ("", Encoding.IDENTITY),
        ("identity", Encoding.IDENTITY),
        ("none", Encoding.IDENTITY),
        ("gzip", Encoding.GZIP),
        ("x-gzip", Encoding.GZIP),
        ("GZip ", Encoding.GZIP),
        ("zstd", Encoding.ZSTD),
        ("deflate", Encoding.DEFLATE),
        ("zlib", Encoding.DEFLATE),
        ("snappy", Encoding.SNAPPY),
        ("x-snappy-framed", Encoding.SNAPPY),
        ("lz4", Encoding.LZ4),
    ],
)
def test_names_of_encodings(header: str, encoding: Encoding) -> None:
    assert encoding_named(header) is encoding


@pytest.mark.parametrize("header", ["br", "compress", "gzip, gzip", "gzip,deflate", "gzip;q=1", "*"])
def test_other_names_are_unsupported(header: str) -> None:
    with pytest.raises(UnsupportedTypeError, match="gzip, zstd, deflate, snappy, lz4"):
        encoding_named(header)


def test_the_encoding_of_a_grpc_message() -> None:
    body = b"\x0a\x05hello"
    assert encoding_of_message(b"") is Encoding.IDENTITY
    assert encoding_of_message(body) is Encoding.IDENTITY
    assert encoding_of_message(gzip.compress(body)) is Encoding.GZIP
    for level in range(10):
        assert encoding_of_message(zlib.compress(body, level)) is Encoding.DEFLATE


@pytest.mark.timeout(faults.times(120, 3000))
@settings(max_examples=faults.times(150, 5000))
@given(data=st.binary(min_size=1, max_size=3000), name=st.sampled_from(COMPRESSED), damage=st.data())
def test_damaged_data_is_refused_or_read_but_never_breaks(
    data: bytes, name: str, damage: st.DataObject
) -> None:
    faults.done["compressed bodies"] += 1
    encoding, encode = ENCODERS[name]
    wire = bytearray(encode(data))
    at = damage.draw(st.integers(0, len(wire) - 1))
    wire[at] ^= damage.draw(st.integers(1, 255))
    try:
        out = inflate(encoding, bytes(wire), limit_bytes=100_000, grow=ignore)
    except (BadRequestError, TooLargeError):
        return
    assert len(out) <= 100_000


@pytest.mark.timeout(faults.times(120, 3000))
@settings(max_examples=faults.times(150, 5000))
@given(wire=st.binary(max_size=2000), encoding=st.sampled_from(list(Encoding)))
def test_any_bytes_are_refused_or_read_but_never_break(wire: bytes, encoding: Encoding) -> None:
    faults.done["compressed bodies"] += 1
    try:
        out = inflate(encoding, wire, limit_bytes=100_000, grow=ignore)
    except (BadRequestError, TooLargeError):
        return
    assert len(out) <= 100_000
