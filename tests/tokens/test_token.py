"""The form of a token, and what is kept of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from lowtide.redaction import MASK, hide_in_text
from lowtide.tokens.token import Scope, Token, digest_of, id_of, mint

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_a_token_has_256_random_bits_beside_its_id() -> None:
    made = {mint() for _ in range(1000)}

    assert len({name for name, _ in made}) == len({text for _, text in made}) == 1000
    for name, text in made:
        assert text.startswith(f"lt_{name}_")
        assert len(text.rpartition("_")[2]) * 5 >= 256
        assert id_of(text) == name


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: "",
        lambda text: text[:-1],
        lambda text: text + "a",
        lambda text: text + "\n",
        lambda text: " " + text,
        lambda text: text.upper(),
        lambda text: text.replace("lt_", "lT_"),
        lambda text: text[:-1] + "\x00",
        lambda text: text[:-1] + "é",
        lambda text: text[:-1] + "1",
        lambda text: text * 1000,
        lambda text: f"{text}, {text}",
    ],
)
def test_what_is_not_exactly_a_token_has_no_id(spoil: object) -> None:
    assert id_of(spoil(mint()[1])) is None  # type: ignore[operator]  # a function each


def test_the_digest_says_nothing_of_the_text() -> None:
    _, text = mint()

    assert text[-20:] not in digest_of(text)
    assert digest_of(text) != digest_of(mint()[1])
    assert len(digest_of(text)) == 64


@pytest.mark.parametrize(
    ("expires", "revoked", "live"),
    [
        (None, None, True),
        (timedelta(seconds=1), None, True),
        (timedelta(), None, False),
        (timedelta(days=-1), None, False),
        (None, timedelta(days=-1), False),
        (timedelta(days=1), timedelta(), False),
    ],
)
def test_when_it_opens_anything(expires: timedelta | None, revoked: timedelta | None, live: bool) -> None:
    token = Token(
        "a", "name", "default", frozenset({Scope.READ}), digest_of("x"), NOW,
        None if expires is None else NOW + expires, None if revoked is None else NOW + revoked,
    )  # fmt: skip

    assert token.is_live(NOW) is live


@pytest.mark.parametrize(
    "around", ["{}", "token={} sent", "Bearer {}", "Authorization: Bearer {}", "{},{}", "'{}'"]
)
def test_no_token_shows_in_a_log(around: str) -> None:
    text = mint()[1]

    hidden = hide_in_text(around.format(text, text))

    assert text.rpartition("_")[2] not in hidden
    assert MASK in hidden


def test_its_public_id_may_show() -> None:
    name, text = mint()

    assert hide_in_text(f"revoked {text}") == f"revoked lt_{name}_{MASK}"
