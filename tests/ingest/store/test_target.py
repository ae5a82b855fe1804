"""Where the store is, as people write it down."""

from __future__ import annotations

from pathlib import Path

import pytest

from ingest.store.target import Embedded, Server, parse_target

HERE = Path("/var/lib/lowtide/store")


def test_embedded_lives_in_the_directory() -> None:
    assert parse_target("embedded", HERE) == Embedded(HERE)


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("clickhouse://ch", Server("ch", 8123, "default", "", "lowtide", secure=False)),
        ("clickhouses://ch", Server("ch", 8443, "default", "", "lowtide", secure=True)),
        ("clickhouse://ann:s%40cret@ch:9/bills", Server("ch", 9, "ann", "s@cret", "bills", secure=False)),
        ("clickhouse://[::1]:8123/", Server("::1", 8123, "default", "", "lowtide", secure=False)),
    ],
)
def test_servers(url: str, server: Server) -> None:
    assert parse_target(url, HERE) == server


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("", "`embedded` or clickhouse://"),
        ("http://ann:s3cret@ch", "`embedded` or clickhouse://"),
        ("clickhouse:///lowtide", "names no host"),
        ("clickhouse://ann:s3cret@ch/x?compress=1", "no options"),
        ("clickhouse://ann:s3cret@ch/a-b", "letters, digits"),
        ("clickhouse://ann:s3cret@ch/a/b", "letters, digits"),
        ("clickhouse://ann:s3cret@ch:port/a", "port"),
    ],
)
def test_what_is_no_store_is_refused_without_repeating_it(url: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as caught:
        parse_target(url, HERE)
    assert "s3cret" not in str(caught.value)


def test_a_password_is_not_shown() -> None:
    target = parse_target("clickhouse://ann:s3cret@ch", HERE)
    assert str(target) == "clickhouse://ann@ch:8123/lowtide"
    assert "s3cret" not in repr(target)
