"""Tags of tracers that have a meaning in OTLP: a span's status, scope, state, and what is about the process
and not the span. Zipkin and Jaeger write them alike (OpenTelemetry specification, "Transformation to non-OTLP
Formats").
"""

from __future__ import annotations

from typing import Any, Final

from collector.foreign.building import Scope, Value

_RESOURCE_PREFIXES: Final = (
    "service.", "telemetry.sdk.", "telemetry.distro.", "telemetry.auto.", "k8s.", "container.", "host.",
    "os.", "process.", "cloud.", "deployment.", "device.", "aws.ecs.", "aws.eks.", "webengine.",
)  # fmt: skip
_RESOURCE_NAMES: Final = frozenset(
    {"faas.id", "faas.name", "faas.version", "faas.instance", "faas.max_memory", "deployment.environment"}
)
_STATUS_CODES: Final = {
    "UNSET": 0, "OK": 1, "ERROR": 2, "STATUS_CODE_UNSET": 0, "STATUS_CODE_OK": 1, "STATUS_CODE_ERROR": 2,
}  # fmt: skip
_ERROR: Final = 2
Tags = dict[str, Value]


def is_of_resource(name: str) -> bool:
    """Whether a tag is about the process that wrote the span."""
    return name.startswith(_RESOURCE_PREFIXES) or name in _RESOURCE_NAMES


def take_scope(tags: Tags) -> Scope:
    """The name and version of the instrumentation; its tags are taken out."""
    names = (tags.pop("otel.scope.name", None), tags.pop("otel.library.name", None))
    versions = (tags.pop("otel.scope.version", None), tags.pop("otel.library.version", None))
    return str(names[0] or names[1] or ""), str(versions[0] or versions[1] or "")


def take_status(tags: Tags, span: Any) -> None:
    """Set a span's status; what says it is taken out of its tags. `error` says by being there that something
    went wrong, unless it is false, and what in its text (Zipkin), or `otel.status_description`."""
    code = _STATUS_CODES.get(str(tags.get("otel.status_code", "")))
    if code is not None:
        del tags["otel.status_code"]
        span.status.code = code
        if "otel.status_description" in tags:
            span.status.message = str(tags.pop("otel.status_description"))
    error = tags.get("error")
    if error is None or error is False or error == "false":
        return
    del tags["error"]
    if code is None:
        span.status.code = _ERROR
    if error is not True and error != "true" and not span.status.message and span.status.code == _ERROR:
        span.status.message = str(error)


def take_state(tags: Tags, span: Any) -> None:
    """Set a span's `tracestate`, which is a tag elsewhere."""
    if "w3c.tracestate" in tags:
        span.trace_state = str(tags.pop("w3c.tracestate"))
