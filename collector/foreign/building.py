"""Builds the OTLP request of a translation: records by resource and scope, in the order in which these came,
so that the same bytes always become the same bytes. The translators of `collector.foreign` use it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, TypeAlias

from collector.check.tables import REQUESTS
from collector.check.wording import Findings
from collector.foreign.translated import Translated
from collector.refusals import TooLargeError
from ingest.signals import Signal

Value: TypeAlias = str | bool | int | float | bytes
"""Of an attribute. Whole numbers outside of 64 bits are written as text."""
Attributes: TypeAlias = tuple[tuple[str, Value], ...]
Scope: TypeAlias = tuple[str, str]
"""Name and version."""

NO_SCOPE: Final = ("", "")
LAST_NS: Final = (1 << 64) - 1
_INT64: Final = range(-(1 << 63), 1 << 63)
_PLACES: Final = {
    Signal.TRACES: ("resource_spans", "scope_spans", "spans"),
    Signal.LOGS: ("resource_logs", "scope_logs", "log_records"),
}


class Builder:
    """One OTLP request of a signal; logs or traces."""

    def __init__(self, signal: Signal) -> None:
        self._signal = signal
        self._request = REQUESTS[signal]()
        self._resources: dict[Attributes, Any] = {}
        self._records: dict[tuple[Attributes, Scope], Any] = {}
        self._count = 0
        self.refused = Findings()

    def add(self, resource: Attributes, scope: Scope = NO_SCOPE) -> Any:
        """A new record of a resource and scope."""
        self._count += 1
        records = self._records.get((resource, scope))
        if records is None:
            records = self._records[resource, scope] = self._begun(resource, scope)
        return records.add()

    def translated(self, limit_bytes: int) -> Translated:
        """All of it. Raises TooLargeError above `limit_bytes`."""
        body = self._request.SerializeToString()
        if len(body) > limit_bytes:
            raise TooLargeError(
                f"the request would take more than {limit_bytes} bytes as OTLP; send smaller batches"
            )
        total = self.refused.total
        reason = self.refused.refusal(self._signal, self._count + total)
        return Translated(body, refused=total, reason=reason)

    def _begun(self, resource: Attributes, scope: Scope) -> Any:
        resources, scopes, records = _PLACES[self._signal]
        of_resource = self._resources.get(resource)
        if of_resource is None:
            of_resource = self._resources[resource] = getattr(self._request, resources).add()
            put(of_resource.resource.attributes, resource)
        of_scope = getattr(of_resource, scopes).add()
        of_scope.scope.name, of_scope.scope.version = scope
        return getattr(of_scope, records)


def put(attributes: Any, pairs: Iterable[tuple[str, Value]]) -> None:
    """Add attributes, each key once: the last value counts."""
    for key, value in dict(pairs).items():
        any_value = attributes.add(key=key).value
        match value:
            case bool():
                any_value.bool_value = value
            case int() if value in _INT64:
                any_value.int_value = value
            case float():
                any_value.double_value = value
            case bytes():
                any_value.bytes_value = value
            case _:
                any_value.string_value = str(value)


def time_ns(value: int) -> int:
    """A time in ns as OTLP can say it; the check refuses what is not near the present."""
    return min(max(value, 0), LAST_NS)
