"""A client certificate at the API's door, and where a connection comes from."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from api.access import Need, NotAllowedError, UnknownCallerError
from collector.tls.certificate import Certificate
from collector.tls.gate import is_from_here
from lowtide.serve.doors import ApiKeeper, api_keeper
from lowtide.tls.settings import ClientRule, Demand, TlsSettings
from lowtide.tokens.live import LiveTokens
from lowtide.tokens.token import Scope
from support import tokens

NOW = datetime.now(UTC)


def certificate(*uris: str, ends: datetime = NOW + timedelta(days=1)) -> Certificate:
    return Certificate(frozenset(uris), frozenset(), ends)


def keeper(data: Path, demand: Demand = Demand.OPTIONAL) -> tuple[ApiKeeper, str]:
    """And the owner's secret."""
    live = LiveTokens(data, may_be_open=False)
    settings = TlsSettings(
        certificate=Path("a"), key=Path("b"), client_ca=Path("c"), api_client_certificates=demand,
        clients=(ClientRule(san="spiffe://x/grafana", tenant="shop", scopes=(Scope.QUERY,)),),
    )  # fmt: skip
    return api_keeper(live, settings), live.own_secret


GRAFANA = certificate("spiffe://x/grafana")


def test_it_lets_in_for_what_its_entry_says(tmp_path: Path) -> None:
    door, _ = keeper(tmp_path)
    caller = door.admit(None, Need.QUERY, GRAFANA)
    assert (caller.tenant, caller.sees_all) == ("shop", False)
    for need in (Need.READ, Need.ADMIN):
        with pytest.raises(NotAllowedError):
            door.admit(None, need, GRAFANA)


@pytest.mark.parametrize("shown", [None, "something else", certificate("spiffe://x/other"), certificate()])
def test_without_an_entry_nobody_gets_in(tmp_path: Path, shown: object) -> None:
    with pytest.raises(UnknownCallerError):
        keeper(tmp_path)[0].admit(None, Need.QUERY, shown)


def test_one_that_has_ended_since_it_was_shown(tmp_path: Path) -> None:
    ended = certificate("spiffe://x/grafana", ends=NOW - timedelta(seconds=1))
    with pytest.raises(UnknownCallerError):
        keeper(tmp_path)[0].admit(None, Need.QUERY, ended)


@pytest.mark.parametrize("token", ["", "lt_x"])
def test_a_bad_token_is_not_made_up_for(tmp_path: Path, token: str) -> None:
    with pytest.raises(UnknownCallerError):
        keeper(tmp_path)[0].admit(token, Need.QUERY, GRAFANA)


def test_a_token_of_another_tenant_contradicts_it(tmp_path: Path) -> None:
    same, other = (tokens.make(tmp_path, Scope.READ, tenant=tenant) for tenant in ("shop", "acme"))
    door, _ = keeper(tmp_path)

    assert door.admit(same, Need.READ, GRAFANA).tenant == "shop"
    with pytest.raises(NotAllowedError):
        door.admit(same, Need.QUERY, GRAFANA)  # the certificate could, but the token decides
    with pytest.raises(UnknownCallerError, match="two tenants"):
        door.admit(other, Need.READ, GRAFANA)
    assert door.admit(other, Need.READ, certificate("spiffe://x/nobody")).tenant == "acme"


def test_where_one_must_be_shown_only_the_owner_needs_none(tmp_path: Path) -> None:
    token = tokens.make(tmp_path, Scope.READ)
    door, secret = keeper(tmp_path, Demand.REQUIRED)

    for shown in (None, token):
        with pytest.raises(UnknownCallerError, match="certificate"):
            door.admit(shown, Need.READ, None)
    assert door.admit(token, Need.READ, certificate("spiffe://x/nobody")).tenant == "default"
    for proof in (None, GRAFANA, certificate()):
        assert door.admit(secret, Need.ADMIN, proof).sees_all


@pytest.mark.parametrize(
    ("peer", "own", "here"),
    [
        ("127.0.0.1", "127.0.0.1", True),
        ("127.9.9.9", "127.0.0.1", True),
        ("::1", "::1", True),
        ("::ffff:127.0.0.1", "::ffff:127.0.0.1", True),
        ("192.0.2.7", "192.0.2.7", True),
        ("fe80::1%eth0", "fe80::1%eth0", True),
        ("192.0.2.8", "192.0.2.7", False),
        ("::ffff:192.0.2.8", "::ffff:192.0.2.7", False),
        ("not an address", "192.0.2.7", False),
    ],
)
def test_who_is_on_this_machine(peer: str, own: str, here: bool) -> None:
    transport = asyncio.Transport({"peername": (peer, 5), "sockname": (own, 6)})
    assert is_from_here(transport) is here


def test_who_cannot_be_told_is_elsewhere() -> None:
    assert not is_from_here(asyncio.Transport({}))
    assert not is_from_here(asyncio.Transport({"peername": None, "sockname": ("127.0.0.1", 1)}))
