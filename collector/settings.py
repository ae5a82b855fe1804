"""Every setting of the collector, in one model.

`lowtide/settings.py` composes it; the receivers take it as an argument.
"""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

MIB = 1024 * 1024


def _name_or_glob(rule: str) -> str:
    """A rule the walk can look for: two characters of it stand at the beginning or at the end."""
    begin, star, _ = rule.partition("*")
    longest = max(len(begin), len(rule.rpartition("*")[2])) if star else len(rule)
    if longest < 2:
        raise ValueError("a name has two characters before the first * or behind the last one at least")
    return rule


Rule = Annotated[str, Field(min_length=2, max_length=200), AfterValidator(_name_or_glob)]


class ScrubSettings(BaseModel):
    """Attributes that are not stored as they come, by name: exact, or with `*` for anything. Case does not
    count, and `_` is the same as `-`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    drop: tuple[Rule, ...] = Field(
        default=(
            "authorization",
            "*.authorization",
            "proxy-authorization",
            "*.proxy-authorization",
            "cookie",
            "*.cookie",
            "set-cookie",
            "*.set-cookie",
            "x-api-key",
            "*.x-api-key",
        ),
        max_length=64,
        description="Attributes that are left out before anything is written, at any depth. The headers "
        "that let somebody in, under their own names and as OpenTelemetry captures them "
        "(http.request.header.authorization). Requests with such attributes take the slow way: better not "
        "to send them.",
    )
    hash: tuple[Rule, ...] = Field(
        default=(),
        max_length=64,
        description="Attributes whose values are replaced by a digest under a key of this installation "
        "(scrub.key in "
        "the data directory), so that equal ones can be told and none can be read. Goes before drop.",
    )


class CollectorSettings(BaseModel):
    """Addresses, limits and times of the OTLP receivers. Sizes are bytes, times are seconds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    listen: str = Field(
        default="127.0.0.1",
        min_length=1,
        description="Address or host name both listeners bind to. Any other than loopback "
        "takes TLS, and a token or client certificate with which somebody may send.",
    )
    http_port: int = Field(
        default=4318,
        ge=0,
        le=65535,
        description="OTLP/HTTP port; 4318 is the registered one, 0 takes any free port.",
    )
    grpc_port: int = Field(
        default=4317,
        ge=0,
        le=65535,
        description="OTLP/gRPC port; 4317 is the registered one, 0 takes any free port.",
    )
    max_body_bytes: int = Field(
        default=64 * MIB,
        ge=1024,
        le=64 * MIB,
        description="Largest request in bytes after decompression. 64 MiB is what the OTLP "
        "specification recommends, and the most that is read.",
    )
    max_wire_bytes: int = Field(
        default=64 * MIB,
        ge=1024,
        description="Largest request in bytes as it travels. The same as the limit above, so that a "
        "request may also come uncompressed; lower it if all senders compress.",
    )
    max_inflight_bytes: int = Field(
        default=256 * MIB,
        ge=1024,
        description="Bytes of all requests being received, checked or waiting for the disk, after "
        "decompression. Above it senders are told to come back. 256 MiB leaves room for two of the "
        "largest requests. gRPC messages still arriving come on top, as many at a time as have room in "
        "it at max_wire_bytes each: gRPC shows nothing of a message before all of it is there. The last "
        "quarter is only for tenants with less than an equal share, so that one's flood does not keep the "
        "others out.",
    )
    tenant_bytes_per_s: int = Field(
        default=0,
        ge=0,
        description="Bytes a second, after decompression, that each tenant may send. Above it, senders are "
        "told (429) when to come back. 0 sets no limit, which suits tenants that trust each other.",
    )
    tenant_burst_bytes: int = Field(
        default=256 * MIB,
        ge=1,
        description="Bytes a tenant that was silent may send at once before tenant_bytes_per_s counts. "
        "256 MiB let a collector that comes back after an outage empty its queue.",
    )
    max_repair_bytes: int = Field(
        default=512 * MIB,
        ge=MIB,
        description="Bytes of memory that reading one JSON request, or repairing one protobuf request "
        "(late records, unknown fields), may be expected to take; above it the request is refused with "
        "413 as it will never fit. One is worked on at a time, outside max_inflight_bytes. 512 MiB is "
        "enough for 64 MiB of ordinary protobuf and 40 MiB of ordinary JSON.",
    )
    max_store_bytes: int = Field(
        default=1024 * MIB,
        ge=MIB,
        description="Bytes of memory that storing one request may be expected to take; above it the request "
        "is refused with 413. Long names in a resource are repeated in the rollups for each of its "
        "records, so one with many short records may need a thousand times the bytes of the request. 1 GiB "
        "is enough for 300,000 ordinary spans.",
    )
    inline_bytes: int = Field(
        default=256 * 1024,
        ge=0,
        description="Requests up to this many bytes (decompressed) are handled on the event loop, "
        "about a millisecond; larger ones, and any that are JSON or need repair, in a thread, so that "
        "they do not hold up the others.",
    )
    cpu_threads: int = Field(
        default=2,
        ge=1,
        le=64,
        description="Threads for large requests. Two keep one huge request from blocking the next; "
        "decompression releases the interpreter lock, so they do run at the same time.",
    )
    tenant_series: int = Field(
        default=0,
        ge=0,
        le=50_000_000,
        description="Metric series with a point in the last hour that each tenant may have. Points of "
        "further ones are refused (partial success), those that are known go on. Takes up to 64 bytes of "
        "memory for each, and a look at every point. 0 sets no limit: a series is only a row in the store.",
    )
    body_timeout_s: float = Field(
        default=30.0,
        gt=0,
        description="Seconds a sender has for one request's body; later it is answered 503 with "
        "Retry-After (HTTP; OTLP senders drop the data after a 408) or DEADLINE_EXCEEDED (gRPC). Over HTTP "
        "also how long a sender may leave so many answers unread that no more can be written. 30 s is three "
        "times the export timeout of the SDKs.",
    )
    header_timeout_s: float = Field(
        default=10.0,
        gt=0,
        description="Seconds from connecting, or from a request's first byte, until its headers are "
        "complete.",
    )
    keep_alive_s: float = Field(
        default=120.0,
        gt=0,
        description="Seconds an idle connection stays open. Longer than the 60 s between two "
        "metric exports, so that SDKs do not send into a connection that is just being closed.",
    )
    max_connections: int = Field(
        default=1024,
        ge=1,
        description="Open connections per listener. A few more over HTTP are answered 503; the rest "
        "are closed.",
    )
    max_per_address: int = Field(
        default=512,
        ge=1,
        description="Open HTTP connections, and gRPC calls at a time, of one client address. Half of "
        "max_connections: one broken client, or all behind one proxy, cannot take every place.",
    )
    max_header_bytes: int = Field(
        default=32 * 1024,
        ge=1024,
        description="Bytes of a request's line and headers (HTTP) or of its metadata (gRPC). 32 KiB "
        "holds large tokens.",
    )
    grpc_max_streams: int = Field(
        default=128, ge=1, description="Calls at a time in one gRPC connection. Exporters use one or a few."
    )
    max_streams: int = Field(
        default=4096,
        ge=1,
        description="Open streams of access logs, in all. An Envoy has one for each of its threads and logs, "
        "and each holds one message at a time.",
    )
    grpc_connection_age_s: float = Field(
        default=3600.0,
        gt=0,
        description="Seconds after which a gRPC client is asked to reconnect, so that load spreads "
        "over new replicas.",
    )
    retry_after_s: int = Field(
        default=5,
        ge=1,
        description="Whole seconds a refused sender is asked to wait at least (Retry-After and RetryInfo); "
        "each is given a time between this and twice this, so that they do not all come back together. 5 s "
        "is the SDKs' default export interval.",
    )
    scrub: ScrubSettings = Field(
        default=ScrubSettings(),
        description="Attributes that are not stored as they come, by name: exact, or with `*` for "
        "anything. Case does not count, and `_` is the same as `-`.",
    )
    stop_grace_s: float = Field(
        default=10.0,
        ge=0,
        description="Seconds that requests in flight get to finish when the collector stops.",
    )

    @property
    def common_inflight_bytes(self) -> int:
        """Of max_inflight_bytes: what anybody may fill. The largest request always fits in."""
        return max(self.max_inflight_bytes * 3 // 4, self.max_wire_bytes + self.max_body_bytes)

    @model_validator(mode="after")
    def _largest_request_fits(self) -> Self:
        """An idle collector must be able to take the largest request, or its sender comes back for ever."""
        needed = self.max_wire_bytes + self.max_body_bytes
        if self.max_inflight_bytes < needed:
            raise ValueError(
                f"max_inflight_bytes is {self.max_inflight_bytes}, but one request may need max_wire_bytes + "
                f"max_body_bytes = {needed}; raise the first or lower the others"
            )
        return self
