"""Native in the revision of clients in Go: each block with its info, each column with its mark."""

from __future__ import annotations

import httpx2
import pytest

from api.sql.errors import SqlRequestError
from api.sql.native import REVISION, in_revision
from ingest.store.engine import Session

INFO = bytes.fromhex("010002ffffffff00")
NEW = 54_460
KINDS = (
    "number",
    "toInt8(number)",
    "toUInt256(number)",
    "number / 3",
    "toBFloat16(number)",
    "number % 2 = 0",
    "toDate(number)",
    "toDate32(number)",
    "toDateTime(number)",
    "toDateTime64(number, 9, 'UTC')",
    "toString(number)",
    "repeat('é', number % 300)",
    "toFixedString(toString(number), 9)",
    "generateUUIDv4()",
    "toIPv4(number)",
    "toIPv6(toIPv4(number))",
    "toDecimal32(number, 2)",
    "toDecimal64(number, 2)",
    "toDecimal128(number, 2)",
    "toDecimal256(number, 2)",
    "toIntervalDay(number)",
    "CAST(number % 2 AS Enum8('a,(b' = 0, 'it\\'s' = 1))",
    "CAST(number % 2 AS Enum16('a' = 0, 'b' = 1))",
    "NULL",
    "nullIf(number, 3)",
    "nullIf(toString(number), '3')",
    "range(number % 5)",
    "arrayMap(x -> toString(x), range(number % 5))",
    "[[number], [], [1, 2]]",
    "[NULL, toNullable(number)]",
    "map('a', number, toString(number), 2)",
    "map(toLowCardinality(toString(number)), [toLowCardinality('x')])",
    "CAST((number, 'x') AS Tuple(a UInt64, `b c` LowCardinality(String)))",
    "(number, (toString(number), [1]))",
    "[(number, 'x')]",
    "toLowCardinality(toString(number))",
    "toLowCardinality(nullIf(toString(number % 9), '3'))",
    "toLowCardinality(toDate(number))",
    "[toLowCardinality(toString(number % 700))]",
    "CAST([(number, 'x')] AS Nested(a UInt64, b String))",
    "(1.5, 2.5)::Point",
    "[[(1.5, number)]]::Polygon",
    "CAST(number AS SimpleAggregateFunction(sum, UInt64))",
    "tuple(map('k', [nullIf(number, 1)]))",
)


@pytest.mark.parametrize("kind", KINDS)
def test_every_column_is_found(handle: Session, kind: str) -> None:
    query = "SELECT 'before' AS a, {} AS x, 'after' AS b FROM numbers(1000)".replace("{}", kind)
    whole = handle.raw(query, fmt="Native")

    found = in_revision(whole * 2, NEW)

    first, second = found[: len(found) // 2], found[len(found) // 2 :]
    assert first == second
    assert len(first) == len(whole) + len(INFO) + 3
    head = INFO + b"\x03\xe8\x07\x01a\x06String\x00" + b"\x06before" * 1000 + b"\x01x"
    assert first.startswith(head)
    length, at = first[len(head)], len(head) + 1
    if length >= 128:
        length, at = length & 127 | first[at] << 7, at + 1
    assert first[at + length] == 0
    assert first.endswith(b"\x01b\x06String\x00" + b"\x05after" * 1000)


def test_older_clients_get_it_as_it_is(handle: Session) -> None:
    whole = handle.raw("SELECT 1", fmt="Native")

    assert in_revision(whole, 0) is whole
    assert in_revision(whole, REVISION - 1) is whole
    assert in_revision(b"", NEW) == b""


@pytest.mark.parametrize(
    "kind", ["'{}'::JSON", "number::Dynamic", "number::Variant(UInt64, String)", "tuple()"]
)
def test_other_types_are_an_error_and_no_garbage(handle: Session, kind: str) -> None:
    whole = handle.raw("SELECT {} AS x FROM numbers(3)".replace("{}", kind), fmt="Native")

    with pytest.raises(SqlRequestError, match="cannot be sent to this client") as refused:
        in_revision(whole, NEW)

    assert refused.value.code == 48


def test_what_is_cut_short_is_an_error(handle: Session) -> None:
    whole = handle.raw("SELECT toString(number), range(number) FROM numbers(20)", fmt="Native")

    for end in range(1, len(whole), 7):
        with pytest.raises(SqlRequestError):
            in_revision(whole[:end], NEW)


def test_a_client_says_its_revision_in_the_url(served: str) -> None:
    def ask(revision: str) -> bytes:
        params = {"query": "SELECT 1 AS a", "default_format": "Native", "client_protocol_version": revision}
        return httpx2.get(f"{served}/sql", params=params, trust_env=False).content

    assert ask("54460") == INFO + b"\x01\x01\x01a\x05UInt8\x00\x01"
    assert ask("0") == ask("nonsense") == b"\x01\x01\x01a\x05UInt8\x01"
