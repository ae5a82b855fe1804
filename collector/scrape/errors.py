"""Why a scrape brings nothing, and why the scraper does not start."""

from __future__ import annotations

from enum import StrEnum

from collector.errors import CollectorError


class Reason(StrEnum):
    """Why a scrape failed; a label of a metric."""

    CONNECT = "connect"
    TIMEOUT = "timeout"
    STATUS = "status"
    REDIRECT = "redirect"
    CREDENTIALS = "credentials"
    CONTENT_TYPE = "content_type"
    ENCODING = "encoding"
    TOO_LARGE = "too_large"
    PARSE = "parse"
    SAMPLES = "samples"
    LABELS = "labels"
    OVERLOADED = "overloaded"
    SKIPPED = "skipped"
    INTERNAL = "internal"


class ScrapeError(CollectorError):
    """A target could not be scraped. The message says what happened, without secrets."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class ScrapeStartError(CollectorError):
    """A file that a setting names cannot be used."""
