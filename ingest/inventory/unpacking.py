"""Turns a dump's bytes into text, piece by piece: UTF-8, plain or in gzip.

The trap: little gzip unpacks to much, so what comes out is counted, and handed on in pieces of bounded size.
"""

from __future__ import annotations

import codecs
import zlib
from collections.abc import Iterator
from typing import Any, Final

from ingest.inventory.errors import InventoryError, InventoryTooLargeError

PIECE_BYTES: Final = 1024 * 1024
_GZIP: Final = b"\x1f\x8b"
_GZIP_WINDOW: Final = 31


class Unpacking:
    """The text of a dump. `feed` it all bytes in order, then `finish`."""

    def __init__(self, name: str, limit_bytes: int) -> None:
        self._name, self._limit_bytes = name, limit_bytes
        self._inflate: Any = None
        self._is_begun = False
        self._begin = b""
        self._taken = 0
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")()

    def feed(self, piece: bytes) -> Iterator[str]:
        """The text that is known now. Raises InventoryError."""
        if not self._is_begun:
            piece = self._begin + piece
            if len(piece) < len(_GZIP):
                self._begin = piece
                return
            self._is_begun = True
            if piece.startswith(_GZIP):
                self._inflate = zlib.decompressobj(_GZIP_WINDOW)
        for plain in self._plain(piece):
            yield self._decoded(plain)

    def finish(self) -> str:
        """What was still waiting for more. Raises InventoryError."""
        if self._inflate is not None and not self._inflate.eof:
            raise InventoryError([f"{self._name}: the gzip file ends too early"])
        return self._decoded(b"" if self._is_begun else self._begin, final=True)

    def _plain(self, piece: bytes) -> Iterator[bytes]:
        if self._inflate is None:
            yield self._counted(piece)
            return
        while piece:
            if self._inflate.eof:  # several members, one after the other, are one file
                self._inflate = zlib.decompressobj(_GZIP_WINDOW)
            try:
                plain = self._inflate.decompress(piece, PIECE_BYTES)
            except zlib.error as error:
                raise InventoryError([f"{self._name}: this gzip file cannot be unpacked: {error}"]) from error
            piece = self._inflate.unconsumed_tail or self._inflate.unused_data
            yield self._counted(plain)

    def _counted(self, plain: bytes) -> bytes:
        self._taken += len(plain)
        if self._taken > self._limit_bytes:
            raise InventoryTooLargeError([f"{self._name} has more than {self._limit_bytes} bytes"])
        return plain

    def _decoded(self, plain: bytes, *, final: bool = False) -> str:
        try:
            return self._decoder.decode(plain, final)
        except UnicodeDecodeError as error:
            raise InventoryError([f"{self._name}: this is not UTF-8, and no gzip: {error.reason}"]) from error
