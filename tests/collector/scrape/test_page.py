"""Pages in both notations, good and bad."""

from __future__ import annotations

import math
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.remote_write.message import Described, Example
from collector.scrape.errors import Reason, ScrapeError
from collector.scrape.page import MAX_LINE_CHARS, Found, read_page
from collector.scrape.settings import Format

FAR = 1e18


def read(page: str | bytes, written: Format = Format.TEXT, max_samples: int = 1000) -> list[Found]:
    body = page.encode() if isinstance(page, str) else page
    return list(read_page(body, written, max_samples=max_samples, deadline=FAR))


def test_counters_of_text_keep_their_names() -> None:
    """Envoy's do not end in `_total`."""
    page = """\
# HELP envoy_cluster_upstream_rq_xx Requests.
# TYPE envoy_cluster_upstream_rq_xx counter
envoy_cluster_upstream_rq_xx{envoy_response_code_class="2"} 7
# TYPE requests_total counter
requests_total 3 1520879607789
"""
    first, second = read(page)
    assert (first.name, first.value, first.described) == (
        "envoy_cluster_upstream_rq_xx", 7.0, Described("counter", "Requests."),
    )  # fmt: skip
    assert (second.name, second.described.kind, second.time_ms) == (
        "requests_total",
        "counter",
        1520879607789,
    )


def test_values_are_those_of_the_page() -> None:
    values = ["NaN", "+Inf", "-Inf", "-0.0", "1e100", "4.9406564584124654e-324", "9007199254740993"]
    page = "".join(f"v{number} {value}\n" for number, value in enumerate(values))
    found = [one.value for one in read(page)]
    assert math.isnan(found[0])
    assert found[1:] == [math.inf, -math.inf, 0.0, 1e100, 5e-324, 9007199254740992.0]
    assert math.copysign(1, found[3]) == -1


def test_labels_may_hold_anything() -> None:
    (one,) = read('x{path="C:\\\\dir",say="\\"hi\\"\\n}",zone="ä{,="} 1\n')
    assert one.labels == {"path": "C:\\dir", "say": '"hi"\n}', "zone": "ä{,="}


OPENMETRICS = """\
# HELP requests_seconds Time of requests.
# TYPE requests_seconds histogram
# UNIT requests_seconds seconds
requests_seconds_bucket{code="200",le="0.1"} 2 # {trace_id="0af7651916cd43dd"} 0.05 1520879607.789
requests_seconds_bucket{code="200",le="+Inf"} 5
requests_seconds_count{code="200"} 5
requests_seconds_sum{code="200"} 1.25
requests_seconds_created{code="200"} 1520430000.123
# TYPE shop counter
shop_total 17 1520879607.789
shop_created 1520430000 1520879607.789
# TYPE build info
build_info{version="1"} 1
# EOF
"""


def test_openmetrics_says_more() -> None:
    found = {
        (one.name, *one.labels.get("le", "").split()): one for one in read(OPENMETRICS, Format.OPENMETRICS)
    }
    bucket = found["requests_seconds_bucket", "0.1"]
    assert bucket.described == Described("histogram", "Time of requests.", "seconds")
    assert bucket.example == Example([("trace_id", "0af7651916cd43dd")], 0.05, 1520879607789)
    starts = {name: one.start_ms for (name, *_), one in found.items()}
    assert starts == {
        "requests_seconds_bucket": 1520430000123, "requests_seconds_count": 1520430000123,
        "requests_seconds_sum": 1520430000123, "shop_total": 1520430000000, "build_info": 0,
    }  # fmt: skip
    assert found["shop_total",].time_ms == 1520879607789


def test_openmetrics_of_kube_state_metrics_is_read() -> None:
    """Which calls counters and infos by their samples (kubernetes/kube-state-metrics,
    internal/store/pod_test.go; in OpenMetrics if asked for it, since 2.8)."""
    page = """\
# HELP kube_pod_info [STABLE] Information about pod.
# TYPE kube_pod_info gauge
kube_pod_info{namespace="ns1",pod="pod1"} 1
# HELP kube_pod_container_status_restarts_total [STABLE] The number of container restarts per container.
# TYPE kube_pod_container_status_restarts_total counter
kube_pod_container_status_restarts_total{container="container1",namespace="ns1",pod="pod1",uid="uid1"} 3
# HELP kube_customresource_flux_info The state.
# TYPE kube_customresource_flux_info info
kube_customresource_flux_info{name="a"} 1
# TYPE after_total counter
# HELP after_total A help behind the type.
after_total 1
# EOF
"""
    assert [(one.name, one.value, one.described) for one in read(page, Format.OPENMETRICS)] == [
        ("kube_pod_info", 1, Described("gauge", "[STABLE] Information about pod.")),
        (
            "kube_pod_container_status_restarts_total",
            3,
            Described("counter", "[STABLE] The number of container restarts per container."),
        ),
        ("kube_customresource_flux_info", 1, Described("info", "The state.")),
        ("after_total", 1, Described("counter", "A help behind the type.")),
    ]


@pytest.mark.parametrize(
    ("page", "written", "line"),
    [
        ("a 1\nb{c=1} 2\n", Format.TEXT, 2),
        ('a{b="c} 1\n', Format.TEXT, 1),
        ("a one\n", Format.TEXT, 1),
        ("a\n", Format.TEXT, 1),
        ("a 1\n# TYPE b whatever\nb 1\n", Format.TEXT, 2),
        ("a 1 nan\n", Format.TEXT, 1),
        ("a 1 1e300\n", Format.TEXT, 1),
        ("a " + "9" * 400 + "\n", Format.TEXT, 1),
        ("<html><body>Sign in</body></html>\n", Format.TEXT, 1),
        ("a 1\n", Format.OPENMETRICS, 1),
        ("# TYPE a counter\na 1\n# EOF\n", Format.OPENMETRICS, 3),
        ("# EOF\na 1\n", Format.OPENMETRICS, 2),
    ],
)
def test_what_is_malformed_is_told_with_its_line(page: str, written: Format, line: int) -> None:
    with pytest.raises(ScrapeError, match=rf"at or before line {line}\b") as caught:
        read(page, written)
    assert caught.value.reason is Reason.PARSE


def test_bytes_that_are_no_text() -> None:
    with pytest.raises(ScrapeError, match="not UTF-8, at byte 2"):
        read(b"a \xff\n")


def test_there_may_be_as_many_samples_as_are_allowed() -> None:
    page = "# a comment\n\n" + "".join(f"a{number} 1\n" for number in range(10))
    assert len(read(page, max_samples=10)) == 10
    with pytest.raises(ScrapeError, match="max_samples, 9") as caught:
        read(page, max_samples=9)
    assert caught.value.reason is Reason.SAMPLES


@pytest.mark.parametrize("written", [Format.TEXT, Format.OPENMETRICS])
def test_a_line_has_an_end(written: Format) -> None:
    """One of a page's size would keep the parser busy for hours."""
    with pytest.raises(ScrapeError, match=r"line 2 of the page has more than 524288 characters") as caught:
        read('a 1\nb{c="' + '\\"' * MAX_LINE_CHARS + '"} 1\n# EOF\n', written)
    assert caught.value.reason is Reason.TOO_LARGE


def test_the_clock_is_looked_at_between_long_lines() -> None:
    page = "".join(f'a{{b="{number}{"c" * 30_000}"}} 1\n' for number in range(4))
    with pytest.raises(ScrapeError) as caught:
        list(read_page(page.encode(), Format.TEXT, max_samples=9, deadline=time.monotonic() - 1))
    assert caught.value.reason is Reason.TIMEOUT


def test_reading_has_an_end() -> None:
    page = "".join(f"a{number} 1\n" for number in range(1000))
    with pytest.raises(ScrapeError, match="too long") as caught:
        list(read_page(page.encode(), Format.TEXT, max_samples=9999, deadline=time.monotonic() - 1))
    assert caught.value.reason is Reason.TIMEOUT


_WORDS = st.sampled_from([
    "# TYPE a counter", "# HELP a b", "# UNIT a b", "# EOF", "a", "a_total", "a_bucket", '{le="1"}', '{b="',
    "{", "}", " ", "\n", "1", "NaN", "#", "\\", '"', " # {} 1", "=", ",", "1e999", "-", "\x00", "\r",
])  # fmt: skip


@given(st.lists(_WORDS, max_size=12).map("".join) | st.text(max_size=40), st.sampled_from(Format))
def test_any_text_is_read_or_refused(page: str, written: Format) -> None:
    try:
        read(page, written)
    except ScrapeError as error:
        assert error.reason is Reason.PARSE  # noqa: PT017 - no other error is the point
