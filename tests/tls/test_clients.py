"""The table of client certificates: whose is one, and whose it is not."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.tls.certificate import Certificate
from lowtide.tls.clients import Clients
from lowtide.tls.settings import ClientRule


def table(*rules: tuple[str, str]) -> Clients:
    return Clients(ClientRule(san=san, tenant=tenant, scopes=("write",)) for san, tenant in rules)


def whose(clients: Clients, *uris: str, dns: tuple[str, ...] = ()) -> str | None:
    certificate = Certificate(frozenset(uris), frozenset(dns), not_after=datetime(2050, 1, 1, tzinfo=UTC))
    holder = clients.holder(certificate)
    return None if holder is None else holder.tenant


CLIENTS = table(
    ("spiffe://x/ns/shop/*", "shop"),
    ("spiffe://x/ns/shop/sa/admin", "ops"),
    ("spiffe://x/ns/shop/team/*", "team"),
    ("urn:lowtide:probe", "probe"),
    ("Billing.Internal", "billing"),
)


@pytest.mark.parametrize(
    ("uri", "tenant"),
    [
        ("spiffe://x/ns/shop/sa/a", "shop"),
        ("spiffe://x/ns/shop/sa/admin", "ops"),  # the very name goes before what stands for many
        ("spiffe://x/ns/shop/team/a", "team"),  # and the longer beginning before the shorter
        ("urn:lowtide:probe", "probe"),
        ("spiffe://x/ns/shop", None),
        ("spiffe://x/ns/shop/", None),
        ("spiffe://x/ns/shopping/sa/a", None),
        ("spiffe://x/ns/shop/../bank/sa/a", None),
        ("spiffe://x/ns/shop/./a", None),
        ("spiffe://x/ns/shop//a", None),
        ("spiffe://x/ns/shop/%2e%2e/bank", None),
        ("spiffe://x/ns/shop/a?b", None),
        ("spiffe://x/ns/shop/a#b", None),
        ("spiffe://x/ns/shop/a\x00", None),
        ("spiffe://x/ns/shop/a\n", None),
        ("spiffe://x/ns/shop/*", None),
        ("SPIFFE://x/ns/shop/sa/a", None),
        ("spiffe://y/ns/shop/sa/a", None),
        ("https://evil/?spiffe://x/ns/shop/sa/a", None),
        ("billing.internal", None),  # a URI is never a DNS name
        ("urn:lowtide:probe\x00", None),
    ],
)
def test_by_uri(uri: str, tenant: str | None) -> None:
    assert whose(CLIENTS, uri) == tenant


@pytest.mark.parametrize(
    ("name", "tenant"),
    [
        ("billing.internal", "billing"),
        ("xbilling.internal", None),
        ("a.billing.internal", None),
        ("billing.internal.", None),
        ("*.internal", None),
        ("billing.internal\x00.evil", None),
        ("urn:lowtide:probe", None),  # nor a DNS name a URI
        ("spiffe://x/ns/shop/sa/a", None),
    ],
)
def test_by_dns_name(name: str, tenant: str | None) -> None:
    assert whose(CLIENTS, dns=(name,)) == tenant


def test_names_of_two_tenants_are_nobody() -> None:
    assert whose(CLIENTS, "spiffe://x/ns/shop/sa/a", dns=("billing.internal",)) is None
    assert whose(CLIENTS, "spiffe://x/ns/shop/sa/a", "spiffe://x/ns/shop/sa/admin") is None


def test_names_with_the_same_rights_are_one() -> None:
    assert whose(CLIENTS, "spiffe://x/ns/shop/sa/a", "spiffe://x/ns/shop/sa/b", "spiffe://other/z") == "shop"


def test_without_names() -> None:
    assert whose(CLIENTS) is None
    assert whose(table()) is None


@given(st.text(max_size=60))
def test_below_a_uri_is_only_what_begins_with_it_and_climbs_nowhere(rest: str) -> None:
    if whose(table(("spiffe://x/a/*", "t")), f"spiffe://x/a/{rest}") == "t":
        assert rest
        assert not {"", ".", ".."} & set(rest.split("/"))
        assert rest.isascii()
        assert rest.isprintable()
