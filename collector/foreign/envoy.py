"""Entries of Envoy's gRPC access log service as an OTLP logs request (als.proto, accesslog.proto of
envoyproxy/envoy). `collector.grpc_streams` reads the streams, `collector.foreign.protocols` calls
`translate`.

An entry becomes a record of the event `envoy.access` at the time the request began, with the keys of Istio's
access log in JSON as attributes, so that there is one vocabulary of access logs, whatever way they came. Who
sent them is told by the first message of a stream only; the streams give it along with every message.

The trap: entries of a request that still goes on tell it once more in the end. They are left out, and
counted.
"""

from __future__ import annotations

from typing import Any, Final

from collector.foreign.building import Attributes, Builder, Value, put, time_ns
from collector.foreign.envoy_messages import FLAGS, METHODS, STREAM_MESSAGE, TLS_VERSIONS, VERSIONS
from collector.foreign.envoy_node import resource_of
from collector.foreign.messages import parsed
from collector.foreign.translated import Translated
from collector.refusals import TooLargeError
from ingest.signals import Signal

EVENT_NAME: Final = "envoy.access"
_NS: Final = 1_000_000_000
_NS_PER_US: Final = 1000
_US_PER_MS: Final = 1000
_ENTRY_BYTES: Final = 4000
"""Of memory, for an entry as OTLP: some thirty attributes."""
_CALLERS_SIDE: Final = ("outbound|", "inbound-vip|", "PassthroughCluster", "BlackHoleCluster")
"""Clusters of Istio that lead away from the proxy's own workload."""
_UNDER_WAY: Final = "of requests still under way"
_Pairs = dict[str, Value]


def translate(body: bytes, *, limit_bytes: int, memory_bytes: int) -> Translated:
    """Translate a message of a stream that has its identifier. Raises BadRequestError if it is none,
    TooLargeError if it would take too much as OTLP, or too much memory to read."""
    message = parsed(STREAM_MESSAGE, body, memory_bytes)
    entries = [*message.http_logs.log_entry, *message.tcp_logs.log_entry]
    if len(entries) * _ENTRY_BYTES > memory_bytes:
        raise TooLargeError("the message has too many entries to be translated; let Envoy flush earlier")
    resource = resource_of(message.identifier.node)
    built = Builder(Signal.LOGS)
    for entry in entries:
        _add(built, resource, message.identifier.log_name, entry)
    return built.translated(limit_bytes)


def _add(built: Builder, resource: Attributes, log_name: str, entry: Any) -> None:
    common = entry.common_properties
    if common.intermediate_log_entry:
        built.refused.add(_UNDER_WAY, lambda: f"at {_address(common.downstream_local_address)}")
        return
    record = built.add(resource)
    record.time_unix_nano = time_ns(_ns(common.start_time))
    record.event_name = EVENT_NAME
    is_http = hasattr(entry, "request")
    pairs = _of_http(entry) if is_http else _of_tcp(entry)
    pairs |= _of_common(common) | _of_tls(common)
    if log_name:
        pairs["log_name"] = log_name
    pairs |= {pair.key: pair.value for pair in common.custom_tags}
    put(record.attributes, ((key, value) for key, value in pairs.items() if value not in ("", None)))


def _of_http(entry: Any) -> _Pairs:
    request, response = entry.request, entry.response
    return {
        "method": METHODS.get(request.request_method, ""),
        "path": request.original_path or request.path,
        "protocol": VERSIONS.get(entry.protocol_version, ""),
        "scheme": request.scheme,
        "authority": request.authority,
        "user_agent": request.user_agent,
        "x_forwarded_for": request.forwarded_for,
        "request_id": request.request_id,
        "response_code": int(response.response_code.value),
        "response_code_details": response.response_code_details,
        "grpc_status": _grpc_status(response),
        "bytes_received": int(request.request_body_bytes),
        "bytes_sent": int(response.response_body_bytes),
        **{f"http.request.header.{pair.key.lower()}": pair.value for pair in request.request_headers},
        **{f"http.response.header.{pair.key.lower()}": pair.value for pair in response.response_headers},
    }


def _grpc_status(response: Any) -> str:
    """In the trailers, or in the headers of an answer that is nothing else; both are told on request only."""
    pairs = [*response.response_trailers, *response.response_headers]
    return next((str(pair.value) for pair in pairs if pair.key.lower() == "grpc-status"), "")


def _of_tcp(entry: Any) -> _Pairs:
    connection = entry.connection_properties
    return {
        "response_code": 0,
        "bytes_received": int(connection.received_bytes),
        "bytes_sent": int(connection.sent_bytes),
    }


def _of_common(common: Any) -> _Pairs:
    pairs: _Pairs = {
        "response_flags": ",".join(flag for flag in FLAGS if _is_set(common.response_flags, flag)) or "-",
        "connection_termination_details": common.connection_termination_details,
        "upstream_transport_failure_reason": common.upstream_transport_failure_reason,
        "upstream_cluster": common.upstream_cluster,
        "upstream_host": _address(common.upstream_remote_address),
        "upstream_local_address": _address(common.upstream_local_address),
        "downstream_local_address": _address(common.downstream_local_address),
        "downstream_remote_address": _address(common.downstream_remote_address),
        "downstream_direct_remote_address": _address(common.downstream_direct_remote_address),
        "route_name": common.route_name,
    }
    if common.upstream_request_attempt_count:
        pairs["upstream_request_attempt_count"] = int(common.upstream_request_attempt_count)
    whole = "duration" if common.HasField("duration") else "time_to_last_downstream_tx_byte"
    if common.HasField(whole):
        pairs["duration"] = _ms(_ns(getattr(common, whole)))
    if common.HasField("time_to_first_upstream_rx_byte"):
        # As Envoy's x-envoy-upstream-service-time: from the request's end to the beginning of the answer.
        waited_ns = _ns(common.time_to_first_upstream_rx_byte) - _ns(common.time_to_last_rx_byte)
        pairs["upstream_service_time"] = _ms(waited_ns)
    return pairs


def _of_tls(common: Any) -> _Pairs:
    """What is known of the connection that came in. It is that of the edge only at the callee's proxy."""
    tls = common.tls_properties
    names = [name.uri for name in tls.peer_certificate_properties.subject_alt_name if name.uri]
    pairs: _Pairs = {
        "requested_server_name": tls.tls_sni_hostname,
        "downstream_tls_version": TLS_VERSIONS.get(tls.tls_version, ""),
        "downstream_peer_uri_san": ",".join(names),
        "downstream_peer_subject": tls.peer_certificate_properties.subject,
    }
    if not common.upstream_cluster.startswith(_CALLERS_SIDE):
        is_mutual = bool(names or tls.peer_certificate_properties.subject)
        pairs["security"] = "mutual_tls" if is_mutual else "tls" if tls.tls_version else "none"
    return pairs


def _is_set(flags: Any, flag: str) -> bool:
    return flags.HasField(flag) if flag == "UAEX" else bool(getattr(flags, flag))


def _ns(moment: Any) -> int:
    return int(moment.seconds) * _NS + int(moment.nanos)


def _ms(duration_ns: int) -> float:
    """To the microsecond."""
    return max(duration_ns, 0) // _NS_PER_US / _US_PER_MS


def _address(address: Any) -> str:
    """`10.0.0.1:80`, `[::1]:80`, a path, or nothing."""
    if not address.HasField("socket_address"):
        return str(address.pipe.path)
    host, port = address.socket_address.address, address.socket_address.port_value
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
