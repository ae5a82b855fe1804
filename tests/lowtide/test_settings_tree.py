"""What holds of every setting of every package: a new field cannot break the command or the documentation."""

from __future__ import annotations

from pydantic import BaseModel

from lowtide.settings import Settings
from lowtide.settings_tree import tree_of

TREE = tree_of(Settings)


def test_every_setting_is_described() -> None:
    assert [setting.name for setting in TREE.settings.values() if not setting.description] == []
    assert [key for key, section in TREE.sections.items() if not section.description] == []


def test_every_description_is_a_sentence() -> None:
    assert [s.name for s in TREE.settings.values() if not s.description.endswith(".")] == []


def test_every_setting_has_a_default() -> None:
    """A first run needs no file."""
    assert Settings()


def test_no_two_settings_share_a_variable() -> None:
    variables = [setting.variable for setting in TREE.settings.values()]

    assert len(set(variables)) == len(variables)


def test_no_name_contains_the_separator_or_a_capital() -> None:
    assert [part for key in TREE.settings for part in key if "__" in part or part != part.lower()] == []


def test_every_section_refuses_unknown_keys_and_changes() -> None:
    models: list[type[BaseModel]] = [Settings]
    for model in models:
        assert model.model_config.get("extra") == "forbid", model
        assert model.model_config.get("frozen") is True, model
        models += [
            field.annotation
            for field in model.model_fields.values()
            if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
        ]


def test_no_field_is_known_under_another_name() -> None:
    """An alias would be a second spelling that the list of settings does not know."""
    models: list[type[BaseModel]] = [Settings]
    for model in models:
        for field in model.model_fields.values():
            assert field.alias is None
            assert field.validation_alias is None
            if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
                models.append(field.annotation)
