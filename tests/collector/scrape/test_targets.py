"""Targets, from the settings and from files of file_sd that come, change, break and go."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from collector.scrape.file_sd import TargetFileError, TargetFiles, read_groups
from collector.scrape.settings import ScrapeJob
from collector.scrape.targets import Group, targets_of


def job(**given: Any) -> ScrapeJob:
    return ScrapeJob(**({"name": "node", "targets": ("a:1",)} | given))


def test_job_and_instance_are_labels() -> None:
    (target,) = targets_of(job(labels={"site": "one", "empty": ""}))
    assert target.url == "http://a:1/metrics"
    assert target.labels == (("instance", "a:1"), ("job", "node"), ("site", "one"))


def test_params_are_written_as_a_query() -> None:
    (target,) = targets_of(
        job(scheme="https", path="/probe", params={"module": ("a b", "c"), "debug": ("1",)})
    )
    assert target.url == "https://a:1/probe?debug=1&module=a+b&module=c"


def test_labels_of_a_group_win_and_say_how_to_scrape() -> None:
    labels = {
        "__metrics_path__": "/x", "__scheme__": "https", "__param_module": "m", "__meta_x": "y",
        "job": "other", "site": "two",
    }  # fmt: skip
    own, found = targets_of(job(labels={"site": "one"}), [Group(("b:2",), labels)])
    assert own.url == "http://a:1/metrics"
    assert found.url == "https://b:2/x?module=m"
    assert found.labels == (("instance", "b:2"), ("job", "other"), ("site", "two"))


YAML = """\
- targets: ['a:1', 'b:2']
  labels: {site: one}
- targets: []
"""
JSON = '[{"targets": ["a:1", "b:2"], "labels": {"site": "one"}}, {"targets": []}]'


@pytest.mark.parametrize(("name", "text"), [("t.yml", YAML), ("t.yaml", YAML), ("t.json", JSON)])
def test_both_notations_say_the_same(tmp_path: Path, name: str, text: str) -> None:
    file = tmp_path / name
    file.write_text(text)
    assert read_groups(file) == (Group(("a:1", "b:2"), {"site": "one"}), Group((), {}))


def test_a_number_in_yaml_is_the_text_that_stands_there(tmp_path: Path) -> None:
    file = tmp_path / "t.yml"
    file.write_text("- targets: ['a:1']\n  labels: {port: 0x1F, version: 1.10, on: yes}\n")
    assert read_groups(file) == (Group(("a:1",), {"port": "0x1F", "version": "1.10", "on": "yes"}),)


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("t.json", '[{"targets": ["a:1"', r"t\.json: .*line 1"),
        ("t.yml", "- targets: [a\n- b: {", r"t\.yml:2: "),
        ("t.yml", "- targets: [a]\n- &one\n  targets: [b]", r"t\.yml:2: anchors are not read here"),
        ("t.yml", "- targets: [a]\n  targets: [b]", r"t\.yml:2: targets is given twice"),
        ("t.yml", "targets: [a]", "must be a list"),
        ("t.yml", "", "is empty"),
        ("t.yml", "- [a]", "entry 1: must be a table"),
        ("t.yml", "- target: [a]", "entry 1: must be a table"),
        ("t.yml", "- targets: [a]\n- targets: a", "entry 2, targets"),
        ("t.yml", "- targets: [a]\n  labels: {port: }", "entry 1, labels: .*texts"),
        ("t.json", '[{"targets": ["a"], "labels": {"port": 1}}]', "entry 1, labels: .*quotes"),
        ("t.yml", "- targets: ['http://a']", "entry 1: 'http://a' is no host:port"),
        ("t.yml", "- targets: [a]\n  labels: {a-b: c}", "no name of a label"),
        ("t.yml", "- targets: [a]\n  labels: {__scheme__: ftp}", "ftp"),
        ("t.yml", "- targets: [a]\n  labels: {__scrape_interval__: 5s}", "not supported"),
        ("t.json", "[" * 100_000, r"t\.json"),
        ("t.yml", b"\xff\xfe\x00", r"t\.yml"),
    ],
)
def test_what_is_wrong_with_a_file_is_told_with_its_place(
    tmp_path: Path, name: str, text: str | bytes, why: str
) -> None:
    file = tmp_path / name
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(TargetFileError, match=why):
        read_groups(file)


def test_a_file_that_turns_wrong_keeps_its_last_good_targets(tmp_path: Path) -> None:
    failures: list[None] = []
    files = TargetFiles([str(tmp_path / "*.yml")], lambda: failures.append(None))
    assert files.look() == []
    one, other = tmp_path / "1.yml", tmp_path / "2.yml"
    one.write_text("- targets: ['a:1']")
    other.write_text("- targets: ['b:1']")
    assert [group.addresses for group in files.look()] == [("a:1",), ("b:1",)]
    one.write_text("- targets: ['a:1'")
    assert [group.addresses for group in files.look()] == [("a:1",), ("b:1",)]
    assert [group.addresses for group in files.look()] == [("a:1",), ("b:1",)]
    assert len(failures) == 1, "told once for each time it changed"
    one.write_text("- targets: ['a:1', 'a:2']")
    other.unlink()
    assert [group.addresses for group in files.look()] == [("a:1", "a:2")]


def test_a_file_that_is_replaced_is_read_again(tmp_path: Path) -> None:
    """As it should be written: beside it, then moved over it."""
    files = TargetFiles([str(tmp_path / "t.json")], lambda: None)
    file = tmp_path / "t.json"
    file.write_text('[{"targets": ["a:1"]}]')
    before = file.stat()
    files.look()
    new = tmp_path / "new"
    new.write_text('[{"targets": ["b:1"]}]')
    os.utime(new, ns=(before.st_atime_ns, before.st_mtime_ns))
    new.replace(file)
    assert [group.addresses for group in files.look()] == [("b:1",)]
