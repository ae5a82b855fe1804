"""Who somebody is, while the file changes under a running server."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lowtide.tokens import live
from lowtide.tokens.errors import TokenFileError, UnknownTokenError
from lowtide.tokens.file import FILE_NAME, USE_NAME, read_use
from lowtide.tokens.live import LiveTokens
from lowtide.tokens.token import Scope, id_of, mint
from support import tokens


@dataclass
class Clock:
    """Both clocks, moved by hand."""

    at: datetime = datetime(2026, 3, 1, 12, 0, 31, tzinfo=UTC)
    monotonic_s: float = 100.0

    def pass_(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)
        self.monotonic_s += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


def started(data: Path, clock: Clock, *, may_be_open: bool = True) -> LiveTokens:
    return LiveTokens(
        data, may_be_open=may_be_open, now=lambda: clock.at, monotonic=lambda: clock.monotonic_s
    )


def test_without_any_token_everybody_is_let_in(tmp_path: Path, clock: Clock) -> None:
    known = started(tmp_path, clock)

    for shown in (None, "", "nonsense", mint()[1]):
        holder = known.holder(shown)
        assert (holder.tenant, holder.scopes) == ("default", frozenset(Scope))


def test_unless_others_can_reach_it(tmp_path: Path, clock: Clock) -> None:
    with pytest.raises(UnknownTokenError):
        started(tmp_path, clock, may_be_open=False).holder(None)


def test_the_first_token_closes_the_door_of_a_running_server(tmp_path: Path, clock: Clock) -> None:
    known = started(tmp_path, clock)
    text = tokens.make(tmp_path, Scope.READ, tenant="acme")
    clock.pass_(0.3)

    with pytest.raises(UnknownTokenError):
        known.holder(None)
    holder = known.holder(text)
    assert (holder.id, holder.tenant, holder.scopes) == (id_of(text), "acme", {Scope.READ})
    assert not holder.is_owner


def test_no_deletion_opens_it_again(tmp_path: Path, clock: Clock) -> None:
    text = tokens.make(tmp_path, Scope.READ)
    known = started(tmp_path, clock)
    (tmp_path / FILE_NAME).unlink()
    clock.pass_(0.3)

    for shown in (None, text):
        with pytest.raises(UnknownTokenError):
            known.holder(shown)


def test_a_file_of_revoked_tokens_opens_nothing(tmp_path: Path, clock: Clock) -> None:
    tokens.revoke(tmp_path, tokens.make(tmp_path, Scope.READ))

    with pytest.raises(UnknownTokenError):
        started(tmp_path, clock).holder(None)


def test_a_revoked_token_ends_within_a_second(tmp_path: Path, clock: Clock) -> None:
    text, other = tokens.make(tmp_path, Scope.READ), tokens.make(tmp_path, Scope.READ)
    known = started(tmp_path, clock)
    known.holder(text)
    tokens.revoke(tmp_path, text)
    clock.pass_(0.99)

    with pytest.raises(UnknownTokenError):
        known.holder(text)
    known.holder(other)


def test_an_expired_one_at_once(tmp_path: Path, clock: Clock) -> None:
    text = tokens.make(tmp_path, Scope.READ, expires_at=clock.at + timedelta(seconds=10))
    known = started(tmp_path, clock)
    clock.pass_(9.99)
    known.holder(text)
    clock.pass_(0.01)

    with pytest.raises(UnknownTokenError):
        known.holder(text)


def test_another_secret_under_a_known_id_is_refused(tmp_path: Path, clock: Clock) -> None:
    text = tokens.make(tmp_path, Scope.READ)
    forged = f"lt_{id_of(text)}_{mint()[1].rpartition('_')[2]}"

    with pytest.raises(UnknownTokenError):
        started(tmp_path, clock).holder(forged)


@pytest.mark.parametrize("kind", ["right", "forged", "unknown", "absent", "garbage"])
def test_whatever_is_shown_one_digest_is_compared_in_constant_time(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    text = tokens.make(tmp_path, Scope.READ)
    shown = {
        "right": text,
        "forged": f"lt_{id_of(text)}_{mint()[1].rpartition('_')[2]}",
        "unknown": mint()[1],
        "absent": None,
        "garbage": "\x00" * 5,
    }[kind]
    known = started(tmp_path, clock)
    compared: list[tuple[str, str]] = []
    really = hmac.compare_digest

    def compare(one: str, other: str) -> bool:
        compared.append((one, other))
        return really(one, other)

    monkeypatch.setattr(live.hmac, "compare_digest", compare)
    try:
        known.holder(shown)
    except UnknownTokenError:
        assert kind != "right"

    assert [(len(one), len(other)) for one, other in compared] == [(64, 64)]


def test_what_cannot_be_read_lets_nobody_in_until_it_can(tmp_path: Path, clock: Clock) -> None:
    text = tokens.make(tmp_path, Scope.READ)
    known = started(tmp_path, clock)
    whole = (tmp_path / FILE_NAME).read_bytes()
    (tmp_path / FILE_NAME).write_bytes(b"{")
    clock.pass_(0.3)

    for shown in (text, known.own_secret, None):
        with pytest.raises(TokenFileError):
            known.holder(shown)
    (tmp_path / FILE_NAME).write_bytes(whole)
    clock.pass_(0.3)
    known.holder(text)


def test_it_does_not_start_with_what_cannot_be_read(tmp_path: Path, clock: Clock) -> None:
    (tmp_path / FILE_NAME).write_bytes(b"{")

    with pytest.raises(TokenFileError):
        started(tmp_path, clock)


def test_the_owner_has_a_secret_of_each_start(tmp_path: Path, clock: Clock) -> None:
    tokens.make(tmp_path, Scope.READ)
    first, second = started(tmp_path, clock), started(tmp_path, clock)

    holder = first.holder(first.own_secret)

    assert holder.is_owner
    assert holder.scopes == frozenset(Scope)
    with pytest.raises(UnknownTokenError):
        second.holder(first.own_secret)


def test_the_last_use_is_noted_by_the_minute_and_not_at_each_request(tmp_path: Path, clock: Clock) -> None:
    text = tokens.make(tmp_path, Scope.READ)
    known = started(tmp_path, clock)
    known.note_use()
    assert not (tmp_path / USE_NAME).exists()

    known.holder(text)
    known.note_use()
    first = (tmp_path / USE_NAME).stat().st_ino
    clock.pass_(20)
    known.holder(text)
    known.note_use()

    assert read_use(tmp_path) == {id_of(text): datetime(2026, 3, 1, 12, 0, tzinfo=UTC)}
    assert (tmp_path / USE_NAME).stat().st_ino == first
    assert known.own_secret.split("_")[1] not in read_use(tmp_path)


def test_the_last_use_outlives_a_restart(tmp_path: Path, clock: Clock) -> None:
    text, other = tokens.make(tmp_path, Scope.READ), tokens.make(tmp_path, Scope.READ)
    known = started(tmp_path, clock)
    known.holder(text)
    known.note_use()
    again = started(tmp_path, clock)
    again.holder(other)
    again.note_use()

    assert read_use(tmp_path).keys() == {id_of(text), id_of(other)}


def test_a_refused_token_was_not_used(tmp_path: Path, clock: Clock) -> None:
    text = tokens.make(tmp_path, Scope.READ)
    tokens.revoke(tmp_path, text)
    known = started(tmp_path, clock)
    with pytest.raises(UnknownTokenError):
        known.holder(text)
    known.note_use()

    assert read_use(tmp_path) == {}
