"""What can go wrong with the files of TLS.

LowtideError
+-- TlsError            base
    +-- TlsFileError    a file is missing, unreadable, broken, or does not go with the other
"""

from __future__ import annotations

from lowtide.errors import LowtideError


class TlsError(LowtideError):
    """Base of the errors about TLS."""


class TlsFileError(TlsError):
    """The certificate, its key or the client CAs cannot be used; the message says which file and why."""
