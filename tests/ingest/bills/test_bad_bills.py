"""Bills that are wrong: each value is named by file, line and column, and nothing is imported."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pa_parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.bills.errors import BillError, BillTooLargeError
from ingest.bills.files import open_bill
from ingest.bills.importing import look_at

Write = Callable[..., str]


def refused(bills: Any, content: str | bytes, **more: Any) -> list[str]:
    with pytest.raises(BillError) as raised:
        bills.take(content, **more)
    assert bills.rows("row", "bill_charges") == []
    assert bills.rows("import_id", "bill_slices") == []
    assert "Nothing was imported" in str(raised.value)
    return list(raised.value.problems)


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ({"BilledCost": "cheap"}, "BilledCost: 'cheap' is no number"),
        ({"BilledCost": "1,5"}, "BilledCost: '1,5' is no number"),
        ({"BilledCost": "NaN"}, "BilledCost: 'NaN' is no number"),
        ({"BilledCost": "1e400"}, "BilledCost: 1000000"),
        ({"BilledCost": ""}, "BilledCost: there is no value"),
        (
            {"BilledCost": "0.1234567890123456789012345"},
            "BilledCost: 0.1234567890123456789012345 has more digits",
        ),
        ({"BilledCost": "123456789012345"}, "BilledCost: 123456789012345 has more digits than can be kept"),
        ({"PricingQuantity": "x"}, "PricingQuantity: 'x' is no number"),
        ({"ChargePeriodStart": "yesterday"}, "ChargePeriodStart: 'yesterday' is no time in UTC"),
        (
            {"ChargePeriodStart": "2026-13-01T00:00:00Z"},
            "ChargePeriodStart: '2026-13-01T00:00:00Z' is no time",
        ),
        (
            {"ChargePeriodStart": "2026-05-04T00:00:00+02:00"},
            "ChargePeriodStart: '2026-05-04T00:00:00+02:00' is no",
        ),
        (
            {"ChargePeriodStart": "1999-05-04T00:00:00Z"},
            "ChargePeriodStart: '1999-05-04T00:00:00Z' is no time",
        ),
        ({"ChargePeriodEnd": "2026-05-04T00:00:00Z"}, "ChargePeriodEnd: it ends before it begins"),
        ({"BillingPeriodEnd": "2026-04-04T00:00:00Z"}, "BillingPeriodEnd: it ends before it begins"),
        ({"BillingAccountId": "NULL"}, "BillingAccountId: there is no value"),
        ({"BillingCurrency": "usd"}, "BillingCurrency: 'usd' is no currency"),
        (
            {"ChargeCategory": "Fun"},
            "ChargeCategory: 'Fun' is none of Adjustment, Credit, Purchase, Tax, Usage",
        ),
        ({"ChargeClass": "Mistake"}, "ChargeClass: 'Mistake' is none of Correction"),
        ({"Tags": "team=shop"}, "Tags: 'team=shop' is no JSON object"),
        ({"Tags": "[1]"}, "Tags: '[1]' is no JSON object"),
    ],
)
def test_a_broken_row_is_named(bills: Any, write: Write, row: dict[str, str], problem: str) -> None:
    """The row before has three lines, so that a row's number is not its line."""
    found = refused(bills, write([{"ChargeDescription": "over\nthree\nlines"}, row, {}]))

    assert len(found) == 1
    assert found[0].startswith(f"bill.csv:5: {problem}"), found


def test_all_problems_come_at_once_in_their_order(bills: Any, write: Write) -> None:
    found = refused(bills, write([{"ListCost": "x"}, {}, {"BilledCost": "y", "Tags": "z"}]))

    assert [one.split(": ")[:2] for one in found] == [
        ["bill.csv:2", "ListCost"], ["bill.csv:4", "BilledCost"], ["bill.csv:4", "Tags"],
    ]  # fmt: skip


def test_a_hundred_problems_are_enough(bills: Any, write: Write) -> None:
    found = refused(bills, write([{"BilledCost": "x"}] * 300))

    assert len(found) <= 101
    assert found[0].startswith("bill.csv:2: BilledCost")


def _harmed(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (
            lambda text: text.replace("BilledCost", "Cost"),
            "bill.csv:1: BilledCost: FOCUS 1.0 has this column",
        ),
        (lambda text: text.replace("BilledCost", "Tags"), "bill.csv:1: columns are there twice: Tags"),
        (lambda text: text.replace("ResourceId", "^x$"), "bill.csv:1: ^x$: no column is read by such a name"),
        (lambda text: text.replace("ResourceId", "*"), "bill.csv:1: *: no column is read by such a name"),
        (lambda _: "a,b,c\n1,2,3\n", "bill.csv:1: these are not the columns of a FOCUS bill: a, b, c"),
        (lambda _: "", "bill.csv: the file is empty"),
        (lambda text: text.splitlines()[0] + "\n", "bill.csv: there is no row in it"),
        (lambda text: text + "only,three,values\n", "bill.csv:3: the row has 3 values, the header 23"),
        (
            lambda text: text + text.splitlines()[1] + ",more\n",
            "bill.csv:3: the row has 24 values, the header 23",
        ),
        (lambda text: text + '"never closed,' + text.splitlines()[1] + "\n", "bill.csv"),
        (
            lambda text: text.encode().replace(b"an hour", b"an h\xff"),
            "bill.csv:2: ChargeDescription: this is not UTF-8",
        ),
        (lambda text: gzip.compress(text.encode())[:-20], "bill.csv"),
        (
            lambda text: _harmed(gzip.compress(text.encode()), 12),
            "bill.csv:1: this is neither CSV nor Parquet",
        ),
        (
            lambda text: gzip.compress(text.encode()) + _harmed(gzip.compress(text.encode()), 12),
            "bill.csv cannot be unpacked: Error -3",
        ),
        (lambda text: b"PAR1" + text.encode(), "bill.csv: this Parquet file cannot be read"),
        (lambda _: b"\x00\x01\x02\x03", "bill.csv:1: "),
        (lambda _: b"\x1f\x8bnothing packed", "bill.csv:1: this is neither CSV nor Parquet"),
    ],
)
def test_files_that_are_no_bills(
    bills: Any, write: Write, change: Callable[[str], str | bytes], problem: str
) -> None:
    found = refused(bills, change(write([{}])))

    assert found[0].startswith(problem), found


def test_a_quote_that_is_not_closed_swallows_nothing(bills: Any, write: Write) -> None:
    """In the last column, where every row after it would be one value."""
    text = write([{}, {}, {}], [*(name for name in write([{}]).splitlines()[0].split(",") if name != "Tags")])
    lines = text.splitlines()
    lines[1] += '"'
    first = lines[1].rpartition(",")
    lines[1] = f'{first[0]},"{first[2][:-1]}'

    found = refused(bills, "\n".join(lines) + "\n")

    assert "a quote is opened and not closed" in found[0]


def test_a_quote_within_a_value_is_told_as_what_it_is(bills: Any, write: Write) -> None:
    found = refused(bills, write([{}, {"ChargeDescription": "a disk"}]).replace("a disk", '3.5" disk'))

    assert found[0].startswith('bill.csv: there is a quote (") too many: one is not closed, or stands in')


def test_an_exponent_that_nobody_means_takes_no_memory(bills: Any, write: Write) -> None:
    found = refused(bills, write([{"BilledCost": "1e9999"}, {"BilledCost": "1e999"}]))

    assert found[0] == "bill.csv:2: BilledCost: '1e9999' is no number"
    assert found[1].startswith("bill.csv:3: BilledCost: 100000")


def test_behind_a_long_value_lines_are_found_and_nobody_elses_limit_is_changed(
    bills: Any, write: Write
) -> None:
    """Python's own CSV reader, which finds the lines, takes values of 128 KiB unless told otherwise, and its
    limit is the whole process's."""
    before = csv.field_size_limit()
    long = {"ChargeDescription": "x" * (before + 1)}

    assert refused(bills, write([long, {"BilledCost": "x"}])) == ["bill.csv:3: BilledCost: 'x' is no number"]
    assert refused(bills, write([long]) + "a,b\n") == ["bill.csv:3: the row has 2 values, the header 23"]
    assert csv.field_size_limit() == before == 128 * 1024


def test_what_unpacks_to_too_much_is_refused(bills: Any, write: Write) -> None:
    bomb = gzip.compress(write([{"ChargeDescription": "x" * 1_000_000}] * 5).encode())

    with pytest.raises(BillTooLargeError, match="more than 1000000 bytes"):
        bills.take(bomb, limit_bytes=1_000_000)

    assert bills.rows("row", "bill_charges") == []


def test_parquet_rows_are_named_by_number(bills: Any, write: Write) -> None:
    header, *lines = write([{}, {"BilledCost": "x"}]).splitlines()
    rows = [line.split(",") for line in lines]
    columns = {name: [row[at] for row in rows] for at, name in enumerate(header.split(",")) if name != "Tags"}
    path = bills.folder / "bill.parquet"
    pa_parquet.write_table(pa.table(columns), path)

    with pytest.raises(BillError, match=r"bill\.parquet: row 2: BilledCost: 'x' is no number"):
        bills.take(path)


@given(data=st.data())
def test_any_bytes_are_a_bill_or_refused(data: Any, tmp_path_factory: Any) -> None:
    good = b"BilledCost,BillingAccountId\n1.5,a\n"
    content = data.draw(
        st.one_of(st.binary(max_size=300), st.binary(max_size=30).map(lambda tail: good + tail))
    )
    path: Path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_bytes(content)

    with pytest.raises(BillError) as raised, open_bill(path, "any.csv", 1_000_000) as bill:
        look_at(bill)

    assert all(problem.startswith("any.csv") for problem in raised.value.problems)
