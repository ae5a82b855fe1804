"""What is wrong with the settings of the scraper is said at the start, with its place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lowtide.settings import load_settings
from lowtide.settings_load import SettingsError


def load(tmp_path: Path, text: str) -> Any:
    file = tmp_path / "lowtide.toml"
    file.write_text(text)
    return load_settings(file, environ={}).settings.scrape


def test_a_job_with_everything(tmp_path: Path) -> None:
    scrape = load(
        tmp_path,
        """\
[[scrape.jobs]]
name = "node"
targets = ["127.0.0.1:9100", "[::1]:9100", "node.example"]
file_sd = ["targets/*.yml"]
labels = {site = "one"}
interval_s = 15
timeout_s = 5
params = {collect = ["cpu", "meminfo"]}
honor_labels = true
bearer_token_file = "/run/token"
ca_file = "ca.crt"
scheme = "https"
max_samples = 10
""",
    )
    (job,) = scrape.jobs
    assert (job.targets[1], job.path, job.params["collect"]) == ("[::1]:9100", "/metrics", ("cpu", "meminfo"))
    assert (job.interval_s, job.max_samples, job.tenant) == (15, 10, "default")


def test_nothing_is_scraped_by_default(tmp_path: Path) -> None:
    assert load(tmp_path, "").jobs == ()


@pytest.mark.parametrize(
    ("lines", "place", "why"),
    [
        ('targets = ["http://a:1/metrics"]', "jobs[0].targets.0", "no host:port"),
        ('targets = ["user@a:1"]', "jobs[0].targets.0", "no host:port"),
        ('targets = ["a:70000"]', "jobs[0].targets.0", "no host:port"),
        ('targets = ["a:1", "a:1"]', "jobs[0]", "twice"),
        ("", "jobs[0]", "targets or file_sd"),
        ('targets = ["a:1"]\ntimeout_s = 90', "jobs[0]", "more than interval_s"),
        ('targets = ["a:1"]\ninterval_s = 0', "jobs[0].interval_s", "greater than or equal"),
        ('targets = ["a:1"]\nintervall_s = 9', "jobs[0].intervall_s", "no such key"),
        ('targets = ["a:1"]\npath = "metrics"', "jobs[0].path", "no path"),
        ('targets = ["a:1"]\npath = "/metrics?x=1"', "jobs[0].path", "belongs to params"),
        ('targets = ["a:1"]\nscheme = "ftp"', "jobs[0].scheme", "http"),
        ('targets = ["a:1"]\nlabels = {"a-b" = "x"}', "jobs[0].labels", "no name of a label"),
        ('targets = ["a:1"]\nlabels = {"__x" = "x"}', "jobs[0].labels", "no name of a label"),
        ('targets = ["a:1"]\nusername = "x"', "jobs[0]", "go together"),
        ('targets = ["a:1"]\nproxy_url = "http://u:geheim@p"', "jobs[0].proxy_url", "without a password"),
        ('targets = ["a:1"]\ntenant = "a b"', "jobs[0].tenant", "pattern"),
        ('file_sd = ["targets/*.txt"]', "jobs[0].file_sd.0", "must end in"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, lines: str, place: str, why: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, f'[[scrape.jobs]]\nname = "x"\n{lines}\n')
    (problem,) = caught.value.problems
    assert f"scrape.{place}" in problem
    assert why in problem
    assert "geheim" not in problem


def test_who_scrapes_more_often_than_the_usual_timeout_need_not_say_another(tmp_path: Path) -> None:
    job = '[[scrape.jobs]]\nname = "x"\ntargets = ["a:1"]\n'
    assert [
        load(tmp_path, job + more).jobs[0].timeout_s
        for more in ("", "interval_s = 5", "interval_s = 5\ntimeout_s = 2")
    ] == [10.0, 5.0, 2.0]


def test_two_jobs_of_a_name_would_be_the_same_series(tmp_path: Path) -> None:
    job = '[[scrape.jobs]]\nname = "x"\ntargets = ["a:1"]\n'
    with pytest.raises(SettingsError, match="'x' twice"):
        load(tmp_path, job + job)
