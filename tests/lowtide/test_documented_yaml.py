"""What the documentation gives to copy as YAML is YAML, also what stands there as a comment."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCKS = [
    pytest.param(block, id=f"{page.name}-{number}")
    for page in PAGES
    for number, block in enumerate(
        re.findall(r"(?ms)^```yaml\n(.*?)^```$", page.read_text(encoding="utf-8")), start=1
    )
]
SETTING = re.compile(r"(?m)^( *)# (?=[\w-]+: )")
INSIDE = re.compile(r"(?m)^ *#.*\S +[\w-]+: [{\[].*$")


def test_there_are_some() -> None:
    assert len(BLOCKS) > 10


@pytest.mark.parametrize("block", BLOCKS)
def test_it_is_yaml_with_its_comments_too(block: str) -> None:
    assert list(yaml.safe_load_all(block))
    assert list(yaml.safe_load_all(SETTING.sub(r"\1", block)))


@pytest.mark.parametrize("block", BLOCKS)
def test_no_setting_hides_within_a_comment(block: str) -> None:
    """As when lines of a block were joined as if they were prose."""
    assert [line for line in INSIDE.findall(block) if not SETTING.match(line)] == []
