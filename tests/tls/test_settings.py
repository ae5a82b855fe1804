"""Which settings of TLS go together, and what is no name."""

from __future__ import annotations

from typing import Any

import pytest

from lowtide.settings import load_settings
from lowtide.settings_load import SettingsError
from lowtide.tls.settings import TlsSettings
from lowtide.tokens.token import WRITING, Scope

PAIR = {"certificate": "a.pem", "key": "a.key"}
RULE = {"san": "spiffe://x/shop", "scopes": ["write"]}


def wrong(*overrides: str) -> str:
    with pytest.raises(SettingsError) as caught:
        load_settings(environ={}, overrides=overrides)
    return str(caught.value)


def test_off_without_a_certificate() -> None:
    assert not TlsSettings().is_on
    assert TlsSettings(**PAIR).is_on


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"certificate": "a"}, "go together"),
        ({"key": "a"}, "go together"),
        ({"client_ca": "a"}, "needs a certificate"),
        ({**PAIR, "clients": [RULE]}, "client_ca"),
        ({**PAIR, "client_certificates": "required"}, "client_ca"),
        ({**PAIR, "api_client_certificates": "required"}, "client_ca"),
        ({**PAIR, "client_ca": "c", "clients": [RULE, RULE]}, "twice"),
    ],
)
def test_what_does_not_go_together(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        TlsSettings(**given)


@pytest.mark.parametrize(
    "san",
    [
        "", " ", "*", "*.example.com", "shop.*", "a b", "a..b", ".a", "spiffe://x/*/sa", "spiffe://*/sa",
        "spiffe://x*", "spiffe:/*", "spiffe://x/a*", "spiffe://x/**",
    ],
)  # fmt: skip
def test_what_is_no_name(san: str) -> None:
    with pytest.raises(ValueError, match="neither a URI nor a DNS name"):
        TlsSettings(**PAIR, client_ca="c", clients=[{"san": san, "scopes": ["write"]}])


@pytest.mark.parametrize(
    "san",
    ["shop", "shop.internal", "spiffe://x/ns/shop/sa/a", "spiffe://x/*", "spiffe://x/ns/shop/*", "urn:x:y"],
)
def test_what_is_one(san: str) -> None:
    (rule,) = TlsSettings(**PAIR, client_ca="c", clients=[{"san": san, "scopes": ["write", "read"]}]).clients
    assert rule.rights == WRITING | {Scope.READ}


def test_a_tenant_has_the_form_of_tenants() -> None:
    with pytest.raises(ValueError, match="no tenant"):
        TlsSettings(**PAIR, client_ca="c", clients=[{**RULE, "tenant": "a/b"}])


def test_it_is_part_of_the_settings() -> None:
    """From a variable, and from an array of tables in a file."""
    rules = '[{"san": "spiffe://x/shop", "tenant": "shop", "scopes": ["write"]}]'
    environ = {
        "LOWTIDE_TLS__CERTIFICATE": "a.pem", "LOWTIDE_TLS__KEY": "a.key", "LOWTIDE_TLS__CLIENT_CA": "c.pem",
        "LOWTIDE_TLS__CLIENTS": rules,
    }  # fmt: skip
    assert load_settings(environ=environ).settings.tls.clients[0].tenant == "shop"
    assert "scopes" in wrong(
        "tls.certificate=a", "tls.key=a", "tls.client_ca=a", 'tls.clients=[{"san": "x"}]'
    )
    assert "go together" in wrong("tls.certificate=a")


def test_with_tls_other_addresses_need_no_insecure() -> None:
    assert "--insecure" in wrong("listen=192.0.2.1")
    load_settings(environ={}, overrides=["listen=192.0.2.1", "tls.certificate=a", "tls.key=b"])


def test_relative_home_is_written_out() -> None:
    assert "~" not in str(TlsSettings(certificate="~/a", key="~/b").certificate)
