"""Compression both ways: whole, bounded, and only what was asked for."""

from __future__ import annotations

import gzip
import sys
import zlib
from collections.abc import Callable

import lz4.frame
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.sql.encodings import choose_encoding, compressed, decompressed
from api.sql.errors import SqlRequestError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

MIB = 1024 * 1024
UNPACK: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.decompress,
    "deflate": zlib.decompress,
    "zstd": zstd.decompress,
    "lz4": lz4.frame.decompress,
}
PACK: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "zstd": zstd.compress,
    "lz4": lz4.frame.compress,
}


class TestAnswers:
    @pytest.mark.parametrize("encoding", UNPACK)
    @pytest.mark.parametrize("body", [b"", b"x", b"row\t1\n" * 500_000])
    def test_unfold_to_what_they_were(self, encoding: str, body: bytes) -> None:
        assert UNPACK[encoding](b"".join(compressed(body, encoding))) == body

    @pytest.mark.parametrize(
        ("accept", "chosen"),
        [
            ("", None),
            ("identity", None),
            ("br", None),
            ("gzip, deflate, br", "gzip"),
            ("lz4,zstd,gzip", "zstd"),
            ("LZ4", "lz4"),
            ("gzip;q=1.0, zstd;q=0.5", "gzip"),
            ("gzip;q=0", None),
            ("gzip;q=0, deflate ; q=0.1", "deflate"),
            ("gzip;q=nonsense", None),
            (";;,,", None),
        ],
    )
    def test_are_compressed_as_the_client_asks(self, accept: str, chosen: str | None) -> None:
        assert choose_encoding(accept) == chosen

    @given(st.text(max_size=60))
    def test_any_header_is_understood(self, accept: str) -> None:
        assert choose_encoding(accept) in {None, *UNPACK}


class TestBodies:
    @pytest.mark.parametrize("encoding", PACK)
    def test_unfold(self, encoding: str) -> None:
        assert decompressed(PACK[encoding](b"SELECT 1"), encoding, 100) == b"SELECT 1"

    @pytest.mark.parametrize("encoding", ["", "identity"])
    def test_may_be_plain(self, encoding: str) -> None:
        assert decompressed(b"SELECT 1", encoding, 100) == b"SELECT 1"

    @pytest.mark.parametrize("encoding", PACK)
    def test_unfold_no_further_than_the_limit(self, encoding: str) -> None:
        assert len(decompressed(PACK[encoding](bytes(64 * MIB)), encoding, 1000)) == 1001

    @pytest.mark.parametrize("encoding", PACK)
    def test_cut_short_are_refused(self, encoding: str) -> None:
        whole = PACK[encoding](b"SELECT 1 + 1, 'and some more'")

        for end in (0, 5, len(whole) - 5):
            with pytest.raises(SqlRequestError, match="is not whole"):
                decompressed(whole[:end], encoding, 100)

    @pytest.mark.parametrize("encoding", PACK)
    def test_that_are_something_else_are_refused(self, encoding: str) -> None:
        with pytest.raises(SqlRequestError, match=encoding):
            decompressed(b"SELECT 1, and a few more words", encoding, 100)

    def test_a_large_window_of_zstd_is_refused(self) -> None:
        assert decompressed(_streamed(20), "zstd", 100) == b"SELECT 1"
        with pytest.raises(SqlRequestError):
            decompressed(_streamed(27), "zstd", 100)

    @pytest.mark.parametrize("encoding", ["br", "snappy", "gzip, gzip", "x" * 1000])
    def test_other_encodings_are_refused(self, encoding: str) -> None:
        with pytest.raises(SqlRequestError, match="gzip, deflate, zstd, lz4 are") as refused:
            decompressed(b"", encoding, 100)

        assert refused.value.code == 48
        assert len(str(refused.value)) < 150

    @given(st.sampled_from(sorted(PACK)), st.binary(max_size=200))
    def test_any_bytes_are_taken_or_refused(self, encoding: str, body: bytes) -> None:
        try:
            found = decompressed(body, encoding, 50)
        except SqlRequestError:
            return
        assert len(found) <= 51


def _streamed(window_log: int) -> bytes:
    """A frame that announces a window of 2**window_log bytes: its size is not stated."""
    compressor = zstd.ZstdCompressor(options={zstd.CompressionParameter.window_log: window_log})
    return compressor.compress(b"SELECT 1") + compressor.flush()
