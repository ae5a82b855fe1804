"""Addresses are claimed for us alone, and failures say what to do."""

from __future__ import annotations

import socket

import pytest

from collector.listen import Endpoint, ListenError, PortInUseError, bound_socket, free_address, host_port

FLAG = "--otlp-http-port"


@pytest.mark.parametrize("claim", [bound_socket, free_address])
def test_a_port_in_use_is_named_with_its_flag(claim: object, taken_port: int) -> None:
    with pytest.raises(PortInUseError) as caught:
        claim(Endpoint("127.0.0.1", taken_port, FLAG))  # type: ignore[operator]  # both take an endpoint
    error = caught.value
    assert (error.address, error.port, error.flag) == ("127.0.0.1", taken_port, FLAG)
    assert f"port {taken_port} on 127.0.0.1" in str(error)
    assert FLAG in str(error)


def test_port_zero_is_any_free_port() -> None:
    with (
        bound_socket(Endpoint("127.0.0.1", 0, FLAG)) as first,
        bound_socket(Endpoint("127.0.0.1", 0, FLAG)) as second,
    ):
        assert 0 != first.getsockname()[1] != second.getsockname()[1] != 0


def test_a_port_can_be_claimed_again_at_once() -> None:
    with bound_socket(Endpoint("127.0.0.1", 0, FLAG)) as first:
        port = first.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            accepted = first.accept()[0]
            accepted.close()  # our side closes first and keeps the port in TIME_WAIT
    bound_socket(Endpoint("127.0.0.1", port, FLAG)).close()


def test_the_free_address_is_numeric() -> None:
    assert free_address(Endpoint("localhost", 0, FLAG)) in ("127.0.0.1:0", "[::1]:0")


@pytest.mark.parametrize("host", ["192.0.2.1", "no such host"])
def test_an_address_that_is_not_ours_is_refused(host: str) -> None:
    with pytest.raises(ListenError, match="--listen") as caught:
        bound_socket(Endpoint(host, 0, FLAG))
    assert not isinstance(caught.value, PortInUseError)


def test_ipv6_addresses_are_written_in_brackets() -> None:
    assert host_port("::1", 4318) == "[::1]:4318"
    assert host_port("127.0.0.1", 4318) == "127.0.0.1:4318"
