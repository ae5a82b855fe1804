"""What can go wrong while the server runs, beyond the errors of its parts.

LowtideError
+-- ServeError              base
    +-- ComponentFailedError    a part has failed for good; the process must be started anew
"""

from __future__ import annotations

from lowtide.errors import LowtideError


class ServeError(LowtideError):
    """Base of the errors of the running server."""


class ComponentFailedError(ServeError):
    """A part of the server has failed and cannot be mended while the process lives."""
