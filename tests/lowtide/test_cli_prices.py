"""`lowtide prices`: what holds, where it stands, and what is said of files that are wrong."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

OWN = """\
provider: aws
currency: USD
source: our contract
retrieved_on: 2026-02-01
entries:
  - {region: eu-central-1, sku: m6i.xlarge, unit: hour, price: 0.1234, vcpu: 4, memory_gib: 16}
  - region: eu-central-1
    sku: own.huge
    unit: hour
    price: 7
    vcpu: 64
    memory_gib: 512
    effective_on: 2026-03-01
"""


@pytest.fixture
def own() -> str:
    """A price file that the settings name."""
    Path("own.yaml").write_text(OWN)
    Path("lowtide.toml").write_text('[analytics]\nprice_book = ["own.yaml"]\n')
    return "own.yaml"


def shown(lowtide: Callable[..., Any], *arguments: str) -> list[dict[str, Any]]:
    found = json.loads(lowtide("prices", "show", "-o", "json", *arguments).out)
    assert isinstance(found, list)
    return found


def test_a_price_says_its_file_and_line(lowtide: Callable[..., Any], own: str) -> None:
    (mine,) = shown(lowtide, "--node", "m6i.xlarge", "--region", "eu-central-1")
    (theirs,) = shown(lowtide, "--node", "m6i.xlarge", "--region", "us-east-1")

    assert (mine["price"], mine["currency"], mine["file"], mine["line"]) == ("0.1234", "USD", own, 6)
    assert (mine["source"], mine["retrieved_on"]) == ("our contract", "2026-02-01")
    assert (theirs["price"], theirs["file"]) == ("0.192", "aws_ec2.yaml")
    assert theirs["source"].startswith("https://")


def test_a_price_holds_from_its_day(lowtide: Callable[..., Any], own: str) -> None:
    for day in ("2026-02-28", "2026-03-01"):
        (row,) = shown(lowtide, "--node", "own.huge", "--on", day)
        assert (row["price"], row["effective_on"], row["line"]) == ("7", "2026-03-01", 7)


def test_tiers_of_a_plan_are_rows(lowtide: Callable[..., Any]) -> None:
    arguments = ("--plan", "aws_lambda", "--region", "us-east-1")
    rows = [row for row in shown(lowtide, *arguments) if row["unit"] == "GiB-second"]

    assert [(row["architecture"], row["above"], row["price"]) for row in rows] == [
        ("amd64", None, "0.0000166667"),
        ("amd64", "6000000000", "0.000015"),
        ("amd64", "15000000000", "0.0000133334"),
        ("arm64", None, "0.0000133334"),
        ("arm64", "7500000000", "0.0000120001"),
        ("arm64", "18750000000", "0.0000106667"),
    ]


def test_csv_and_table_have_every_digit(lowtide: Callable[..., Any]) -> None:
    arguments = ("prices", "show", "--plan", "aws_lambda", "--region", "eu-west-1")
    rows = list(csv.DictReader(io.StringIO(lowtide(*arguments, "-o", "csv").out)))

    assert [row["price"] for row in rows] == ["0.0000002", "0.0000166667"]
    assert "0.0000166667" in lowtide(*arguments).out


def test_an_unknown_type_shows_what_it_would_stand_at(lowtide: Callable[..., Any]) -> None:
    ran = lowtide("prices", "show", "--node", "z9.nano", "-o", "json")

    assert ran.code == 0
    assert {row["kind"] for row in json.loads(ran.out)} == {"rate"}
    assert "No list price of z9.nano" in ran.err
    assert "estimated" in ran.err


def test_a_good_file_is_counted(lowtide: Callable[..., Any], own: str) -> None:
    ran = lowtide("prices", "check", own)

    assert (ran.code, ran.out) == (0, "own.yaml: 2 prices, 1 of them for things that have one already.\n")


def test_without_a_file_those_of_the_settings_are_checked(lowtide: Callable[..., Any], own: str) -> None:
    assert lowtide("prices", "check") == lowtide("prices", "check", own)
    Path(own).write_text(OWN.replace("0.1234", "-1"))
    assert lowtide("prices", "check").code == 1
    Path("lowtide.toml").unlink()
    ran = lowtide("prices", "check")
    assert (ran.code, ran.out) == (0, "")
    assert "There is no price file in analytics.price_book" in ran.err


def test_all_problems_come_at_once(lowtide: Callable[..., Any], own: str) -> None:
    Path(own).write_text(
        OWN.replace("0.1234", "-1").replace("vcpu: 64", "cpus: 64").replace("unit: hour\n", "unit: day\n")
    )

    ran = lowtide("prices", "check", own, "missing.yaml")

    assert (ran.code, ran.out) == (1, "")
    assert "own.yaml:6: price: Input should be greater than or equal to 0, not '-1'" in ran.err
    assert "own.yaml:9: unit: Input should be 'hour'" in ran.err
    assert "own.yaml:11: cpus: there is no such key here" in ran.err
    assert ran.err.count("missing.yaml cannot be read: No such file or directory") == 1
    assert "Errno" not in ran.err
    assert "Traceback" not in ran.err


def test_a_node_and_a_plan_together_are_wrong_usage(lowtide: Callable[..., Any]) -> None:
    assert lowtide("prices", "show", "--node", "a", "--plan", "b").code == 2
