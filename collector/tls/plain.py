"""What to answer to plain text on a port of TLS, so that its sender learns what is wrong.

HTTP/2, and so gRPC, is answered in HTTP/1.1 too: its clients say so ("HTTP status 400") and take their time
before they connect again. The trap: an answer in HTTP/2 itself, SETTINGS and GOAWAY, makes gRPC's clients
connect anew at once, hundreds of times a second (measured with grpcio 1.85).
"""

from __future__ import annotations

import re
from typing import Final

_HTTP: Final = re.compile(rb"[A-Z]{3,10} ")
_BODY: Final = b"this port speaks TLS; its address begins with https://\n"
_ANSWER: Final = (
    b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\ncontent-length: %d\r\n"
    b"connection: close\r\n\r\n%s" % (len(_BODY), _BODY)
)


def answer_to_plain_text(data: bytes) -> bytes:
    """The whole answer to what begins with `data`; empty if it is not HTTP."""
    return _ANSWER if _HTTP.match(data) else b""
