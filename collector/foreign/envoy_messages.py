"""The messages of Envoy's access log service, in the fields that `collector.foreign.envoy` reads, and the
names of its enumerations as Envoy writes them into text (als.proto, accesslog.proto, base.proto and
address.proto, v3).
"""

from __future__ import annotations

from typing import Final

from collector.foreign.messages import declare

FLAGS: Final = {
    "LH": 1, "UH": 2, "UT": 3, "LR": 4, "UR": 5, "UF": 6, "UC": 7, "UO": 8, "NR": 9, "DI": 10, "FI": 11,
    "RL": 12, "UAEX": 13, "RLSE": 14, "DC": 15, "URX": 16, "SI": 17, "IH": 18, "DPE": 19, "UMSDR": 20,
    "RFCF": 21, "NFCF": 22, "DT": 23, "UPE": 24, "NC": 25, "OM": 26, "DF": 27,
}  # fmt: skip
"""Response flags by the names they have in access logs, and the numbers of their fields."""
METHODS: Final = {
    1: "GET", 2: "HEAD", 3: "POST", 4: "PUT", 5: "DELETE", 6: "CONNECT", 7: "OPTIONS", 8: "TRACE", 9: "PATCH",
}  # fmt: skip
VERSIONS: Final = {1: "HTTP/1.0", 2: "HTTP/1.1", 3: "HTTP/2", 4: "HTTP/3"}
TLS_VERSIONS: Final = {1: "TLSv1", 2: "TLSv1.1", 3: "TLSv1.2", 4: "TLSv1.3"}

_MESSAGES: Final = declare(
    "lowtide.envoy",
    {
        "Moment": {"seconds": (1, "int64"), "nanos": (2, "int32")},
        "Number": {"value": (1, "uint32")},
        "Text": {"key": (1, "string"), "value": (2, "string")},
        "Empty": {},
        "SocketAddress": {"address": (2, "string"), "port_value": (3, "uint32")},
        "Pipe": {"path": (1, "string")},
        "Address": {"socket_address": (1, "SocketAddress"), "pipe": (2, "Pipe")},
        "Value": {"string_value": (3, "string"), "struct_value": (5, "Struct")},
        "Member": {"key": (1, "string"), "value": (2, "Value")},
        "Struct": {"fields": (1, "[]Member")},
        "Locality": {"region": (1, "string"), "zone": (2, "string")},
        "Node": {
            "id": (1, "string"), "cluster": (2, "string"), "metadata": (3, "Struct"),
            "locality": (4, "Locality"),
        },
        "Identifier": {"node": (1, "Node"), "log_name": (2, "string")},
        "Name": {"uri": (1, "string")},
        "Certificate": {"subject_alt_name": (1, "[]Name"), "subject": (2, "string")},
        "Tls": {
            "tls_version": (1, "int32"), "tls_sni_hostname": (3, "string"),
            "peer_certificate_properties": (5, "Certificate"),
        },
        "ResponseFlags": {
            name: (number, "Empty" if name == "UAEX" else "bool") for name, number in FLAGS.items()
        },
        "Common": {
            "downstream_remote_address": (2, "Address"), "downstream_local_address": (3, "Address"),
            "tls_properties": (4, "Tls"), "start_time": (5, "Moment"), "time_to_last_rx_byte": (6, "Moment"),
            "time_to_first_upstream_rx_byte": (9, "Moment"),
            "time_to_last_downstream_tx_byte": (12, "Moment"),
            "upstream_remote_address": (13, "Address"), "upstream_local_address": (14, "Address"),
            "upstream_cluster": (15, "string"), "response_flags": (16, "ResponseFlags"),
            "upstream_transport_failure_reason": (18, "string"), "route_name": (19, "string"),
            "downstream_direct_remote_address": (20, "Address"), "custom_tags": (22, "[]Text"),
            "duration": (23, "Moment"), "upstream_request_attempt_count": (24, "uint32"),
            "connection_termination_details": (25, "string"), "intermediate_log_entry": (26, "bool"),
        },
        "Request": {
            "request_method": (1, "int32"), "scheme": (2, "string"), "authority": (3, "string"),
            "path": (5, "string"), "user_agent": (6, "string"), "forwarded_for": (8, "string"),
            "request_id": (9, "string"), "original_path": (10, "string"),
            "request_body_bytes": (12, "uint64"), "request_headers": (13, "[]Text"),
        },
        "Response": {
            "response_code": (1, "Number"), "response_body_bytes": (3, "uint64"),
            "response_headers": (4, "[]Text"), "response_trailers": (5, "[]Text"),
            "response_code_details": (6, "string"),
        },
        "Connection": {"received_bytes": (1, "uint64"), "sent_bytes": (2, "uint64")},
        "HttpEntry": {
            "common_properties": (1, "Common"), "protocol_version": (2, "int32"), "request": (3, "Request"),
            "response": (4, "Response"),
        },
        "TcpEntry": {"common_properties": (1, "Common"), "connection_properties": (2, "Connection")},
        "HttpEntries": {"log_entry": (1, "[]HttpEntry")},
        "TcpEntries": {"log_entry": (1, "[]TcpEntry")},
        "StreamMessage": {
            "identifier": (1, "Identifier"), "http_logs": (2, "HttpEntries"), "tcp_logs": (3, "TcpEntries"),
        },
        "Opening": {"identifier": (1, "bytes")},
    },
)  # fmt: skip

STREAM_MESSAGE: Final = _MESSAGES["StreamMessage"]
OPENING: Final = _MESSAGES["Opening"]
"""A message with its identifier unread."""
