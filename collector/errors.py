"""What can go wrong in the collector. Everything it raises on purpose is a `CollectorError`."""

from __future__ import annotations


class CollectorError(Exception):
    """Base of all errors of this package."""


class BadRequestError(CollectorError):
    """The request can never be accepted as it is (permanent).

    Its message is written to be sent back to the sender.
    """
