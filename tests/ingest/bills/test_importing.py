"""What an import does: recorded bills arrive exactly, a file restates its slices, nothing counts by half."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pa_parquet
import pytest

from ingest.bills import importing
from ingest.bills.errors import BillError

Write = Callable[..., str]
AMOUNTS = ("BilledCost", "EffectiveCost", "ListCost", "ContractedCost", "PricingQuantity", "ListUnitPrice")


def records(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return [
            {key: "" if value == "NULL" else value for key, value in row.items()}
            for row in csv.DictReader(file)
        ]


def test_every_recorded_amount_arrives_to_the_digit(bills: Any, samples: Mapping[str, Path]) -> None:
    for version, path in samples.items():
        report = bills.take(path)
        rows = records(path)

        assert (report.status, report.focus_version, report.rows) == ("imported", version, len(rows))
        stored = bills.session.rows(
            f"SELECT {', '.join(AMOUNTS)} FROM bills"  # noqa: S608 - names of ours
            " WHERE tenant = {tenant:String} AND import_id = {id:String} ORDER BY row",
            {"tenant": bills.tenant, "id": report.import_id},
        )
        assert stored == [
            tuple(Decimal(row[name]) if row[name] else None for name in AMOUNTS) for row in rows
        ]
        assert sum(total.billed for total in report.totals) == sum(Decimal(row["BilledCost"]) for row in rows)


def test_nothing_of_a_row_is_lost(bills: Any, sample: Path) -> None:
    """What has no column of its own is in `Other`, and the rest says what the file says."""
    bills.take(sample)
    names = [name for (name, *_) in bills.session.rows("DESCRIBE TABLE bill_charges")]
    for stored, row in zip(bills.rows("row, * EXCEPT row"), records(sample), strict=True):
        found = dict(zip(["row", *(name for name in names if name != "row")], stored, strict=True))
        other = json.loads(found["Other"])
        for name, text in row.items():
            if name == "ServiceProviderName":
                assert found["ProviderName"] == text
            elif name in found and isinstance(found[name], datetime):
                assert f"{found[name]:%Y-%m-%dT%H:%M:%SZ}" == text
            elif name in found and isinstance(found[name], Decimal | None):
                assert found[name] == (Decimal(text) if text else None)
            elif name in found and name != "ProviderName":
                assert found[name] == (text or ("{}" if name in ("Tags", "SkuPriceDetails") else ""))
            elif text and name not in found:
                assert other[name] == text or Decimal(other[name]) == Decimal(text)
            else:
                assert name not in other


def test_the_first_version_has_fewer_columns(bills: Any, samples: Mapping[str, Path]) -> None:
    later = (
        "CapacityReservationId", "CapacityReservationStatus", "CommitmentDiscountQuantity",
        "CommitmentDiscountUnit", "ServiceSubcategory", "SkuMeter", "SkuPriceDetails",
    )  # fmt: skip
    frame = pl.read_csv(samples["1.1"], infer_schema=False).drop(later)

    report = bills.take(frame.write_csv())

    assert (report.focus_version, report.rows, report.missing_columns) == ("1.0", 3, ())


def test_what_is_understood_and_what_not(bills: Any, samples: Mapping[str, Path], write: Write) -> None:
    report = bills.take(samples["1.2"])

    assert report.format == "CSV"
    assert [(one.billing_account, one.rows, one.replaced_rows) for one in report.slices] == [
        ("100000000001", 1, 0), ("100000000002", 3, 0),
    ]  # fmt: skip
    assert report.services[0].service == "AmazonEC2"
    assert (report.charges_from, report.charges_until) == (
        datetime(2026, 5, 1, tzinfo=UTC), datetime(2026, 5, 17, tzinfo=UTC),
    )  # fmt: skip
    assert (report.rows_without_resource, report.rows_with_tags) == (0, 4)
    assert report.tag_keys == ("Environment", "CostCenter", "Owner")
    assert "PublisherName" in report.other_columns
    assert report.unknown_columns == ()

    odd = bills.take(write([{"ResourceId": "", "Tags": "", "x_Zone": "z", "Colour": "red"}]))
    assert (odd.rows_without_resource, odd.rows_with_tags) == (1, 0)
    assert odd.other_columns == ("PublisherName", "x_Zone")
    assert odd.unknown_columns == ("Colour",)
    assert "SkuId" in odd.missing_columns
    (other,) = [row for row in bills.rows("Other") if "Colour" in row[0]]
    assert json.loads(other[0]) == {"PublisherName": "Cloud", "x_Zone": "z", "Colour": "red"}


def test_the_same_file_again_changes_nothing(bills: Any, sample: Path) -> None:
    first = bills.take(sample)
    before = bills.rows("*", "bill_charges"), bills.rows("*", "bill_slices")

    again = bills.take(sample)

    assert (first.status, again.status) == ("imported", "unchanged")
    assert again.import_id == first.import_id
    assert (bills.rows("*", "bill_charges"), bills.rows("*", "bill_slices")) == before


def test_a_corrected_file_replaces_exactly_what_it_restates(bills: Any, write: Write) -> None:
    june = {"BillingPeriodStart": "2026-06-01T00:00:00Z", "BillingPeriodEnd": "2026-07-01T00:00:00Z"}
    bills.take(write([{}, {"ResourceId": "i-2"}, june, {"BillingAccountId": "account-2"}]))

    report = bills.take(write([{"BilledCost": "9"}]))

    assert [(one.rows, one.replaced_rows) for one in report.slices] == [(1, 2)]
    assert bills.rows("BillingAccountId, BillingPeriodStart, ResourceId, BilledCost") == [
        ("account-1", datetime(2026, 5, 1, tzinfo=UTC), "i-1", Decimal(9)),
        ("account-1", datetime(2026, 6, 1, tzinfo=UTC), "i-1", Decimal("1.5")),
        ("account-2", datetime(2026, 5, 1, tzinfo=UTC), "i-1", Decimal("1.5")),
    ]


def test_back_to_the_first_file_is_a_change(bills: Any, write: Write) -> None:
    first, second = write([{}]), write([{"BilledCost": "9"}])
    bills.take(first)
    bills.take(second)

    report = bills.take(first)

    assert report.status == "imported"
    assert bills.rows("BilledCost") == [(Decimal("1.5"),)]


def test_a_clock_that_was_set_back_doubles_nothing(bills: Any, write: Write) -> None:
    """What replaces something holds from later on, whatever the clock says."""
    noon = datetime(2026, 6, 4, 12, tzinfo=UTC)
    bills.take(write([{}]), now=noon)

    bills.take(write([{"BilledCost": "9"}]), now=noon - timedelta(hours=3))
    assert bills.rows("BilledCost") == [(Decimal(9),)]

    bills.take(write([{}]), now=noon - timedelta(hours=3))
    assert bills.rows("BilledCost") == [(Decimal("1.5"),)]


def test_files_of_one_bill_come_beside_each_other(bills: Any, write: Write) -> None:
    parts = [write([{"ResourceId": f"i-{number}"}]) for number in range(3)]

    said = [bills.take(part, add=bool(number)).status for number, part in enumerate(parts)]
    again = bills.take(parts[1], add=True)

    assert [*said, again.status] == ["imported"] * 3 + ["unchanged"]
    assert bills.rows("ResourceId") == [("i-0",), ("i-1",), ("i-2",)]
    assert bills.take(parts[0]).slices[0].replaced_rows == 3
    assert bills.rows("ResourceId") == [("i-0",)]


def test_names_that_the_large_exporters_leave_out_are_not_missed(bills: Any, write: Write) -> None:
    """Azure names no service for what one buys: reservations, savings plans, products of its marketplace
    (MicrosoftDocs/finops-toolkit, FOCUS conformance summary); AWS names no issuer of certain charges (Data
    Exports, FOCUS 1.0 and 1.2 conformance gaps)."""
    report = bills.take(write([{}, {"ServiceName": "", "BilledCost": "8"}, {"InvoiceIssuerName": ""}]))

    assert bills.rows("ServiceName, InvoiceIssuerName, BilledCost") == [
        ("", "Cloud", Decimal(8)),
        ("Machines", "", Decimal("1.5")),
        ("Machines", "Cloud", Decimal("1.5")),
    ]
    assert [(one.service, one.billed) for one in report.services] == [
        ("", Decimal(8)),
        ("Machines", Decimal(3)),
    ]
    assert report.notes == (
        "InvoiceIssuerName is empty in 1 of 3 rows, where FOCUS wants a name.",
        "ServiceName is empty in 1 of 3 rows, where FOCUS wants a name.",
    )


def test_currencies_are_kept_apart(bills: Any, write: Write) -> None:
    report = bills.take(write([{}, {"BillingCurrency": "EUR"}, {"BillingCurrency": "EUR"}]))

    assert [(one.currency, one.rows, str(one.billed)) for one in report.totals] == [
        ("EUR", 2, "3.000000000000000000000000"), ("USD", 1, "1.500000000000000000000000"),
    ]  # fmt: skip
    assert any("several currencies" in note for note in report.notes)


def test_sums_are_exact_beyond_a_decimals_usual_digits(bills: Any, write: Write) -> None:
    rows = [
        {"BilledCost": "99999999999999.123456789012345678901234"},
        {"BilledCost": "0.000000000000000000000001"},
    ]

    (total,) = bills.take(write(rows)).totals

    assert str(total.billed) == "99999999999999.123456789012345678901235"
    assert '"billed":"99999999999999.123456789012345678901235"' in total.model_dump_json()


@pytest.mark.parametrize(
    ("text", "amount"),
    [("1e-7", "0.0000001"), ("-1.5E+2", "-150"), (".5", "0.5"), ("+3.", "3"),
     ("1.10000000000000000000000000000", "1.1"), ("0", "0"), ("00012.5", "12.5")],
)  # fmt: skip
def test_ways_to_write_a_number(bills: Any, write: Write, text: str, amount: str) -> None:
    bills.take(write([{"BilledCost": text}]))

    assert bills.rows("BilledCost") == [(Decimal(amount),)]


@pytest.mark.parametrize(
    "text",
    [
        "2026-05-04T03:00:00Z",
        "2026-05-04T03:00:00.000Z",
        "2026-05-04 03:00:00 UTC",
        "2026-05-04T03:00:00+00:00",
        "2026-05-04T03:00Z",  # Azure's exports (MicrosoftDocs/finops-toolkit, FOCUS conformance full report)
    ],
)
def test_ways_to_write_a_time(bills: Any, write: Write, text: str) -> None:
    report = bills.take(write([{"ChargePeriodEnd": text}]))

    assert bills.rows("ChargePeriodEnd") == [(datetime(2026, 5, 4, 3, tzinfo=UTC),)]
    assert report.notes == ()


def test_a_time_without_zone_is_utc_and_told(bills: Any, write: Write) -> None:
    report = bills.take(
        write([{"ChargePeriodEnd": "2026-05-05", "ChargePeriodStart": "2026-05-04 00:00:00"}])
    )

    assert bills.rows("ChargePeriodEnd") == [(datetime(2026, 5, 5, tzinfo=UTC),)]
    assert report.notes == ("2 times without a zone, taken for UTC, as FOCUS has it.",)


def test_compressed_and_with_a_byte_order_mark(bills: Any, sample: Path) -> None:
    plain = sample.read_bytes()

    packed = bills.take(bills.file(gzip.compress(b"\xef\xbb\xbf" + plain), "bill.csv.gz"))

    assert packed.format == "CSV in gzip"
    assert packed.rows == len(records(sample))


def test_parquet_says_what_csv_says(bills: Any, sample: Path) -> None:
    """Typed as exporters type it: decimals, times, tags as a map, names as a dictionary, costs as doubles."""
    bills.take(sample)
    expected = bills.rows("* EXCEPT (import_id, imported_at)")
    frame = pl.read_csv(sample, infer_schema=False, null_values=["", "NULL"])
    columns: dict[str, Any] = {}
    for name in frame.columns:
        texts = frame[name].to_list()
        if name.endswith(("PeriodStart", "PeriodEnd")):
            columns[name] = frame[name].str.to_datetime("%Y-%m-%dT%H:%M:%SZ", time_zone="UTC").to_arrow()
        elif name in ("BilledCost", "PricingQuantity"):
            amounts = [None if text is None else Decimal(text) for text in texts]
            columns[name] = pa.array(amounts, pa.decimal128(38, 18))
        elif name in ("ListCost", "EffectiveCost"):
            columns[name] = pa.array([float(text) for text in texts], pa.float64())
        elif name == "ServiceName":
            columns[name] = pa.array(texts).dictionary_encode()
        elif name == "Tags":
            pairs = [None if text is None else list(json.loads(text).items()) for text in texts]
            columns[name] = pa.array(pairs, pa.map_(pa.string(), pa.string()))
        else:
            columns[name] = pa.array(texts, pa.string())
    path = bills.folder / "bill.parquet"
    pa_parquet.write_table(pa.table(columns), path)

    report = bills.take(path)

    found = bills.rows("* EXCEPT (import_id, imported_at)")
    assert report.format == "Parquet"
    assert any("EffectiveCost, ListCost came as floating point" in note for note in report.notes)
    tags = [name for (name, *_) in bills.session.rows("DESCRIBE TABLE bill_charges")].index("Tags") - 2
    for one, other in zip(found, expected, strict=True):
        assert json.loads(one[tags]) == json.loads(other[tags])
        assert [*one[:tags], *one[tags + 1 :]] == [*other[:tags], *other[tags + 1 :]]


def test_several_batches_are_one_bill(bills: Any, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest.bills.files.BATCH_BYTES", 4096)
    rows = [{"ResourceId": f"i-{number}", "ChargeDescription": "two\nlines"} for number in range(200)]

    report = bills.take(write(rows))

    assert report.rows == 200
    assert bills.rows("count(), uniqExact(row), max(row), sum(BilledCost)") == [(200, 200, 199, Decimal(300))]


def test_an_import_that_is_broken_off_changes_nothing(
    bills: Any, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingest.bills.files.BATCH_BYTES", 4096)
    bills.take(write([{}]))
    before = bills.rows("*")
    calls = count()

    @contextmanager
    def failing() -> Any:
        if next(calls) == 1:
            raise OSError("the plug was pulled")
        yield

    with pytest.raises(OSError, match="the plug"):
        bills.take(write([{"ResourceId": f"i-{number}"} for number in range(200)]), inserting=failing)

    assert bills.rows("*") == before
    assert len(bills.rows("row", "bill_charges")) > 1, "some of it was stored"


def test_a_file_that_changes_meanwhile_does_not_count(bills: Any, write: Write) -> None:
    path = bills.file(write([{}]))

    @contextmanager
    def changing() -> Any:
        yield
        path.write_text(write([{}, {}]))

    with pytest.raises(BillError, match="was changed while it was read"):
        bills.take(path, inserting=changing)

    assert bills.rows() == []


def test_what_does_not_count_is_taken_away_a_day_later(bills: Any, write: Write) -> None:
    bills.take(write([{}, {}]))
    bills.take(write([{"BilledCost": "2"}]))
    assert len(bills.rows("row", "bill_charges")) == 3

    bills.take(write([{"BilledCost": "3"}]), now=datetime(2026, 6, 9, tzinfo=UTC))

    assert bills.rows("BilledCost", "bill_charges") == [(Decimal(3),)]
    assert bills.rows("BilledCost") == [(Decimal(3),)]


def test_tenants_have_bills_of_their_own(bills: Any, write: Write) -> None:
    bills.take(write([{}]))
    bills.tenant += "-other"

    assert bills.rows() == []
    assert bills.take(write([{}])).status == "imported"


def test_inserts_are_made_where_they_may(bills: Any, write: Write) -> None:
    inside = []

    @contextmanager
    def noted() -> Any:
        inside.append(len(bills.rows("row", "bill_charges")))
        yield

    bills.take(write([{}]), inserting=noted)

    assert inside == [0, 1], "charges first, and only then what makes them count"


def test_a_rejected_file_leaves_no_row(bills: Any, write: Write) -> None:
    with pytest.raises(BillError):
        bills.take(write([{}, {"BilledCost": "cheap"}]))

    assert bills.rows("row", "bill_charges") == []


def test_now_is_given_and_never_taken(bills: Any, write: Write) -> None:
    report = bills.take(write([{}]), now=datetime(2026, 7, 1, tzinfo=UTC) + timedelta(microseconds=5))

    assert report.import_id.startswith("20260701T000000.000005Z-")
    assert importing.live_slices(bills.session, bills.tenant)[0].import_id == report.import_id
