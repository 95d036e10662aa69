"""The languages of our pages, and their words: `words/<language>.yaml`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from importlib.resources import files
from typing import Final, Literal, get_args

import yaml
from markupsafe import Markup

Language = Literal["en", "ko"]
LANGUAGES: Final[tuple[Language, ...]] = get_args(Language)


@cache
def words_of(language: Language) -> Mapping[str, str]:
    """Every word of a language by its name, as HTML with `{values}`."""
    text = files("wmtp_assets.pages").joinpath(f"words/{language}.yaml").read_text("utf-8")
    words: dict[str, str] = yaml.safe_load(text)
    return words


def saying(language: Language) -> Callable[..., Markup]:
    """What says a word of the language by its name, with values filled in and escaped."""
    words = words_of(language)

    def say(name: str, /, **values: object) -> Markup:
        return Markup(words[name]).format(**values)  # noqa: S704 - our own words

    return say
