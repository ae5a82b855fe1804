"""Labels of a page and of its target, put together. The cases of conflicts are those of Prometheus' own tests
(scrape/scrape_test.go: TestScrapeLoopAppend and TestScrapeLoopAppendForConflictingPrefixedLabels)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.scrape.errors import Reason, ScrapeError
from collector.scrape.labels import key_of, pairs_of, put_together, refuse_labels
from collector.scrape.settings import ScrapeJob


@pytest.mark.parametrize(
    ("honor", "page", "target", "expected"),
    [
        (False, {"n": "1"}, {"n": "2"}, {"n": "2", "exported_n": "1"}),
        (False, {"exported_n": "1", "n": "2"}, {"n": "3"},
         {"n": "3", "exported_n": "1", "exported_exported_n": "2"}),
        (True, {"n1": "1", "n2": "2"}, {"n1": "0"}, {"n1": "1", "n2": "2"}),
        (False, {"n": ""}, {"n": "2"}, {"n": "2"}),
        (True, {"n": ""}, {"n": "2"}, {}),
        (True, {"a": "1"}, {"n": "2"}, {"a": "1", "n": "2"}),
        (False, {"foo": "1"}, {"foo": "2"}, {"exported_foo": "1", "foo": "2"}),
        (False, {"foo": "1"}, {"foo": "3", "exported_foo": "2"},
         {"foo": "3", "exported_foo": "2", "exported_exported_foo": "1"}),
        (False, {"foo": "1", "exported_foo": "2"}, {"foo": "3", "exported_foo": "4"},
         {"foo": "3", "exported_foo": "4", "exported_exported_foo": "1",
          "exported_exported_exported_foo": "2"}),
    ],
)  # fmt: skip
def test_conflicts_end_as_with_prometheus(
    honor: bool, page: dict[str, str], target: dict[str, str], expected: dict[str, str]
) -> None:
    found = put_together("m", page, target, honor_labels=honor)
    assert dict(found) == {"__name__": "m", **expected}
    assert list(found) == sorted(found)


@given(st.dictionaries(st.text("abcä_", min_size=1), st.text(min_size=1).filter(lambda t: "\ud800" not in t)))
def test_a_key_is_its_labels(labels: dict[str, str]) -> None:
    pairs = tuple(sorted(labels.items())) or (("a", "b"),)
    assert pairs_of(key_of(pairs)) == pairs


@pytest.mark.parametrize(
    ("labels", "what"),
    [
        ({f"l{number}": "v" for number in range(5)}, "6 labels, max_labels is 5"),
        ({"abcdefghijk": "v"}, "a label's name of 11, max_label_name_chars is 10"),
        ({"a": "v" * 21}, "a label of 21, max_label_value_chars is 20"),
    ],
)
def test_limits_name_what_is_too_much(labels: dict[str, str], what: str) -> None:
    job = ScrapeJob(
        name="x", targets=("a:1",), max_labels=5, max_label_name_chars=10, max_label_value_chars=20
    )
    pairs = put_together("name", labels, {}, honor_labels=False)
    with pytest.raises(ScrapeError, match=what) as caught:
        refuse_labels(pairs, job)
    assert caught.value.reason is Reason.LABELS
    refuse_labels(pairs[:1], job)
