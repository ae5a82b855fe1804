"""The front page as HTML."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from dashboards.front import SHOWN_COSTS, SHOWN_IDLE, Answers, Front, Place, render_front, stylesheet

VOID = {"meta", "link", "br", "hr", "img", "input"}


class Page(HTMLParser):
    """The page's elements with their attributes, and its text; a tag that is not closed is an error."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag in {"dd", "td", "th"}:
            self.text += " "
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def words(self) -> str:
        return re.sub(r"\s+", " ", self.text)


MakeFront = Callable[..., Front]


@pytest.fixture
def page(front: MakeFront) -> Page:
    return Page(render_front(front()))


@pytest.fixture(params=["full", "empty", "problem"])
def any_page(front: MakeFront, nothing: Answers, request: pytest.FixtureRequest) -> Page:
    """The page in each of its states."""
    changes: dict[str, dict[str, Any]] = {
        "full": {},
        "empty": {"answers": nothing},
        "problem": {"answers": None, "problem": "The store does not answer."},
    }
    return Page(render_front(front(**changes[request.param])))


def test_names_from_telemetry_stay_text(front: MakeFront) -> None:
    html = render_front(front())

    assert "<script" not in html
    assert html.count("&lt;script&gt;alert(1)&lt;/script&gt;&#34;&#39;") >= 6


def test_it_needs_and_loads_nothing_from_elsewhere(any_page: Page) -> None:
    assert any_page.all("script") == []
    assert [name for _, attributes in any_page.elements for name in attributes if name.startswith("on")] == []
    assert [attributes for _, attributes in any_page.elements if "style" in attributes] == []
    targets = [a.get("href") or a.get("src") or "" for _, a in any_page.elements if "href" in a or "src" in a]
    assert targets
    assert [
        target for target in targets if not target.startswith(("/", "#")) or target.startswith("//")
    ] == []
    assert "@import" not in stylesheet().decode()
    assert "url(" not in stylesheet().decode()


def test_it_can_be_read_by_machine_and_by_ear(any_page: Page) -> None:
    assert any_page.all("html") == [{"lang": "en"}]
    assert len(any_page.all("h1")) == len(any_page.all("main")) == 1
    ids = Counter(attributes["id"] for _, attributes in any_page.elements if "id" in attributes)
    assert {name for name, count in ids.items() if count > 1} == set()
    labelled = {a["aria-labelledby"] for _, a in any_page.elements if "aria-labelledby" in a}
    assert labelled <= ids.keys()
    assert any_page.all("a")[0] == {"class": "skip", "href": "#main"}
    assert all("scope" in header for header in any_page.all("th"))
    assert len(any_page.all("caption")) == len(any_page.all("table"))
    assert any(meta.get("name") == "viewport" for meta in any_page.all("meta"))


def test_figures_are_rounded_and_exact(page: Page) -> None:
    values = [data["value"] for data in page.all("data")]

    assert "60.125" in values
    assert "60.12" in page.text
    assert "<0.01" in page.text
    assert "1,234,567" in page.text


def test_the_sum_comes_first(page: Page) -> None:
    assert "2026-11-13 12:00 UTC to 2026-11-20 12:30 UTC" in page.words
    assert "Total cost 99.12 USD" in page.words
    assert "Capacity nobody reserved 30.00 USD 30.0 % of the total" in page.words
    assert (
        "Candidates for sleep 2 2 of medium confidence, reserving 3.75 USD a week while nobody calls; "
        "not proven yet" in page.words
    )
    assert "Usage is known 99.5 % of the nodes' time since their first sample" in page.words


def test_candidates_of_low_confidence_are_summed_apart(front: MakeFront, answers: Answers) -> None:
    first, second = answers.recommend.rows
    rows = (first.model_copy(update={"confidence": "low"}), second)
    mixed = replace(answers, recommend=answers.recommend.model_copy(update={"rows": rows}))

    page = Page(render_front(front(answers=mixed)))

    assert (
        "Candidates for sleep 2 1 of medium confidence, reserving 1.25 USD a week while nobody calls; "
        "1 of low confidence, reserving 2.50 USD a week while nobody calls; not proven yet" in page.words
    )


def test_an_invented_company_is_said_to_be_one(front: MakeFront, answers: Answers) -> None:
    invented = replace(answers, idle=answers.idle.model_copy(update={"demo_workloads": 41}))

    assert "invented company" not in Page(render_front(front())).words
    assert "41 workloads here are of the demo's invented company, not yours" in Page(
        render_front(front(answers=invented))
    ).words  # fmt: skip


def test_no_verdict_is_cut_off_by_another(front: MakeFront, answers: Answers) -> None:
    row = answers.idle.rows[1]
    verdicts = ["silent"] * 12 + ["long tail"] * 11 + ["fixed hours", "standby"] + ["too early to say"] * 3
    rows = tuple(row.model_copy(update={"verdict": verdict}) for verdict in verdicts)
    many = replace(answers, idle=answers.idle.model_copy(update={"rows": rows}))

    page = Page(render_front(front(answers=many)))

    assert "fixed hours" in page.words
    assert "standby" in page.words
    assert "Not shown: 2 silent, 1 long tail, 3 too early to say." in page.words


def test_times_are_in_the_zone_asked_for(front: MakeFront) -> None:
    page = Page(render_front(front(zone=ZoneInfo("Europe/Berlin"))))

    assert "2026-11-20 13:30 CET" in page.words
    assert "UTC" not in page.words


def test_a_reason_of_all_is_said_once(page: Page) -> None:
    assert page.text.count("not looked at") == 1


def test_notes_are_said_once(page: Page) -> None:
    assert page.text.count("Some are sampled.") == 1


def test_nothing_yet_says_what_to_do(front: MakeFront, nothing: Answers) -> None:
    page = Page(render_front(front(answers=nothing)))

    assert page.all("table") == []
    assert "Nothing to show yet" in page.words
    assert "lowtide demo" in page.words
    assert page.words.index("Connect your own service") < page.words.index("Last stored")


def test_a_problem_is_said_and_the_rest_stays(front: MakeFront) -> None:
    page = Page(render_front(front(answers=None, problem="The store does not answer.")))

    assert any(attributes.get("role") == "alert" for attributes in page.all("section"))
    assert "The store does not answer." in page.words
    assert "Connect your own service" in page.words
    assert "10,000 records" in page.words


def test_the_pipeline_is_shown(front: MakeFront) -> None:
    flow = replace(front().flow, problems=("Telemetry waits.",), last_insert_at=None)
    page = Page(render_front(front(flow=flow)))

    assert "Telemetry waits." in page.words
    assert "Last stored nothing since the start" in page.words
    assert "2 requests, 1.5 KiB" in page.words


def test_addresses_to_send_to_are_the_real_ones(front: MakeFront) -> None:
    page = Page(render_front(front(otlp_http="http://127.0.0.1:111", otlp_grpc="http://127.0.0.1:222")))

    assert "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:111" in page.text
    assert "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:222" in page.text
    assert "endpoint: 127.0.0.1:222\n" in page.text


def test_what_senders_must_show_is_said_only_where_it_is_asked_for(front: MakeFront) -> None:
    open_page, asking = Page(render_front(front())), Page(render_front(front(asks_who=True)))

    assert "authorization" not in open_page.text
    assert asking.text.count("http/protobuf\nOTEL_EXPORTER_OTLP_HEADERS=authorization=Bearer lt_...") == 1
    assert asking.text.count("grpc\nOTEL_EXPORTER_OTLP_HEADERS=authorization=Bearer lt_...") == 1
    assert "    headers:\n      authorization: Bearer lt_...\n    tls:\n" in asking.text
    assert "lowtide token create NAME --scope write" in asking.words


def test_over_tls_nothing_says_insecure(front: MakeFront) -> None:
    page = Page(render_front(front(otlp_http="https://h:4318", otlp_grpc="https://h:4317", asks_who=True)))

    assert "insecure" not in page.text
    assert "OTEL_EXPORTER_OTLP_CERTIFICATE" in page.words
    assert "    endpoint: h:4317\n    headers:\n      authorization: Bearer lt_...\nservice:" in page.text
    assert "OTEL_EXPORTER_OTLP_CERTIFICATE" not in Page(render_front(front())).words


def test_long_lists_say_what_is_left_out(front: MakeFront, answers: Answers) -> None:
    many_idle = answers.idle.model_copy(update={"rows": answers.idle.rows * SHOWN_IDLE["long tail"]})
    first = answers.costs[0]
    direct = tuple(first.rows[0].model_copy(update={"name": f"app-{n}"}) for n in range(SHOWN_COSTS + 7))
    costs = first.model_copy(update={"rows": (*direct, *first.rows[1:])})
    page = Page(render_front(front(answers=replace(answers, costs=(costs,), idle=many_idle))))

    assert f"Not shown: {SHOWN_IDLE['long tail']} long tail." in page.words
    assert "7 smaller lines are not shown, but in the total" in page.words
    assert "app-49" in page.words
    assert "app-50" not in page.words


def test_the_place_is_in_every_link(front: MakeFront) -> None:
    page = Page(render_front(front(place=Place("24h", "service"))))
    links = {str(link["href"]): link for link in page.all("a")}

    assert "/?window=7d&by=service" in links
    assert "/?window=24h&by=workload" in links
    assert "/?window=24h" in links
    assert links["/?window=24h&by=service"]["aria-current"] == "page"
    assert "/api/v1/idle?window=24h" in links
    assert "lowtide recommend --window 24h" in page.words


def test_what_is_in_a_link_cannot_leave_it() -> None:
    place = Place('x"&by=y#', "")

    assert place.path == "/?window=x%22%26by%3Dy%23"
    assert place.data("cost", "team") == "/api/v1/cost?by=team&window=x%22%26by%3Dy%23"
