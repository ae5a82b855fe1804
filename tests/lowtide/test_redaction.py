"""What counts as a secret."""

from __future__ import annotations

import pytest

from lowtide.redaction import hide_in_text, is_secret_name


@pytest.mark.parametrize(
    "name",
    [
        "authorization",
        "Authorization",
        "proxy-authorization",
        "token",
        "access_token",
        "password",
        "passwd",
        "db_password",
        "set-cookie",
        "Cookie",
        "api_key",
        "x-api-key",
        "apikey",
        "client_secret",
        "private_key",
    ],
)
def test_names_of_secrets(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize(
    "name",
    ["name", "key", "keys", "author", "insert_deduplication_token", "dedup_token", "token_count", "passed"],
)
def test_names_of_other_things(name: str) -> None:
    assert not is_secret_name(name)


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("clickhouse://me:s3cret@db:8123/x", "clickhouse://me:********@db:8123/x"),
        ("see http://:pw@h and http://h:80/", "see http://:********@h and http://h:80/"),
        ("Authorization: Bearer abc.def-ghi_jkl", "Authorization: Bearer ********"),
        ("basic dXNlcjpwYXNz", "basic ********"),
        ("http://127.0.0.1:8686/a@b", "http://127.0.0.1:8686/a@b"),
        ("a bearer of news", "a bearer of news"),
    ],
)
def test_secrets_inside_texts(text: str, hidden: str) -> None:
    assert hide_in_text(text) == hidden
