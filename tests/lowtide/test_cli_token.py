"""`lowtide token`: what it prints where, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lowtide.tokens.file import read_tokens
from lowtide.tokens.token import id_of

DATA = Path("lowtide-data")


def listed(lowtide: Callable[..., Any]) -> list[dict[str, Any]]:
    found = json.loads(lowtide("token", "list", "-o", "json").out)
    assert isinstance(found, list)
    return found


def test_the_token_is_alone_on_stdout(lowtide: Callable[..., Any]) -> None:
    ran = lowtide("token", "create", "grafana", "--scope", "read", "--scope", "query", "--tenant", "acme")

    text = ran.out.removesuffix("\n")
    assert ran.code == 0
    assert id_of(text) is not None
    assert text not in ran.err
    assert text.rpartition("_")[2] not in ran.err
    (token,) = read_tokens(DATA)
    assert (token.name, token.tenant, sorted(token.scopes)) == ("grafana", "acme", ["query", "read"])


def test_what_follows_from_the_first_one_is_said(lowtide: Callable[..., Any]) -> None:
    assert "From now on everybody needs a token" in lowtide("token", "create", "a", "-s", "read").err
    assert "From now on" not in lowtide("token", "create", "b", "-s", "read").err


def test_write_stands_for_all_signals(lowtide: Callable[..., Any]) -> None:
    lowtide("token", "create", "collector", "--scope", "write")

    assert listed(lowtide)[0]["scopes"] == "write-logs write-metrics write-traces"


def test_the_list_shows_no_secret(lowtide: Callable[..., Any]) -> None:
    text = lowtide("token", "create", "one", "--scope", "read", "--expires", "90d").out.strip()

    for form in ("table", "json", "csv"):
        ran = lowtide("token", "list", "-o", form)
        assert id_of(text) in ran.out
        assert text.rpartition("_")[2] not in ran.out + ran.err
        assert read_tokens(DATA)[0].digest not in ran.out + ran.err
    (row,) = listed(lowtide)
    assert (row["state"], row["last_used_at"]) == ("valid", None)
    assert row["expires_at"] > row["created_at"]


@pytest.mark.parametrize("named", ["id", "lt_id", "text"])
def test_a_revoked_one_stays_in_the_list(lowtide: Callable[..., Any], named: str) -> None:
    text = lowtide("token", "create", "one", "--scope", "read").out.strip()
    token_id = id_of(text)

    ran = lowtide("token", "revoke", {"id": token_id, "lt_id": f"lt_{token_id}", "text": text}[named])

    assert ran.code == 0
    assert ran.out == ""
    assert text not in ran.err
    assert [row["state"] for row in listed(lowtide)] == ["revoked"]
    first = read_tokens(DATA)[0].revoked_at
    assert lowtide("token", "revoke", token_id).code == 0
    assert read_tokens(DATA)[0].revoked_at == first


def test_one_that_does_not_exist_cannot_be_revoked(lowtide: Callable[..., Any]) -> None:
    lowtide("token", "create", "one", "--scope", "read")
    ran = lowtide("token", "revoke", "aaaaaaaaaaaaaaaa")

    assert ran.code == 1
    assert "no token with that id" in ran.err
    assert [row["state"] for row in listed(lowtide)] == ["valid"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["x"], "--scope"),
        (["x", "--scope", "all"], "write-traces"),
        (["x", "--scope", "read", "--tenant", "../etc"], "a tenant is"),
        (["x", "--scope", "read", "--tenant", "a'b"], "a tenant is"),
        (["x", "--scope", "read", "--tenant", ""], "a tenant is"),
        (["x", "--scope", "read", "--tenant", "a" * 64], "a tenant is"),
        (["x", "--scope", "read", "--expires", "soon"], "90d"),
        (["x", "--scope", "read", "--expires", "0d"], "90d"),
        (["", "--scope", "read"], "printable"),
        (["a\x1b[2J", "--scope", "read"], "printable"),
    ],
)
def test_what_is_wrong_is_a_usage_error(lowtide: Callable[..., Any], arguments: list[str], said: str) -> None:
    ran = lowtide("token", "create", *arguments)

    assert (ran.code, ran.out) == (2, "")
    assert said in ran.err
    assert not DATA.exists()


def test_an_empty_list_says_what_it_means(lowtide: Callable[..., Any]) -> None:
    ran = lowtide("token", "list")

    assert ran.code == 0
    assert "everybody may send" in ran.err
