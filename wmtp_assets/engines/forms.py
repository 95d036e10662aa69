"""The form of each function's tasks and results, stated once, beside the function.

Lists of tasks and folders of results were written by another process, perhaps by another version of
the function. Only what has the stated form is taken as a task or a result.

A form is written as what it stands for: `{"rows": [(NUMBER, str)], "all": bool}` is an object of
these keys and no others, whose "rows" is a list of any length, of lists of two. A type is that very
type, a frozenset one of these texts, and `Named(form)` an object of any keys.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from wmtp_assets.engines.engine import Function, Result

_TAKES: Final = "takes"
_GIVES: Final = "gives"


@dataclass(frozen=True)
class Named:
    """An object whose values are all of a form."""

    form: Any


@dataclass(frozen=True)
class Where:
    """A value of one of these types for which `holds` is true."""

    kinds: tuple[type, ...]
    holds: Callable[[Any], bool]


NUMBER: Final = Where((int,), lambda value: 0 <= value < 1 << 63)
"""Of a row, or how many of something."""
MEASURE: Final = Where((int, float), lambda value: 0 <= value < float("inf"))
RUN: Final = (NUMBER, NUMBER)
"""As of `parts.Runs`."""
SHA256: Final = Where((str,), lambda value: re.fullmatch("[0-9a-f]{64}", value) is not None)


def takes(form: Any) -> Callable[[Function], Function]:
    """States the form of a function's tasks."""

    def decorated(function: Function) -> Function:
        setattr(function, _TAKES, form)
        return function

    return decorated


def is_task(function: Function, task: Any) -> bool:
    """Whether a value has the form of a function's tasks: is an object, where none is stated."""
    form = getattr(function, _TAKES, None)
    return type(task) is dict if form is None else fits(task, form)


def gives(*forms: Any) -> Callable[[Function], Function]:
    """States the form of a function's results, or the forms of which each result has one."""

    def decorated(function: Function) -> Function:
        setattr(function, _GIVES, forms)
        return function

    return decorated


def has_form(function: Function, result: Result) -> bool:
    """Whether a result has its function's form. Raises TypeError where that is not stated."""
    forms = getattr(function, _GIVES, ())
    if not forms:
        raise TypeError(f"{function.__name__}: no form is stated with `gives`")
    return any(fits(result, form) for form in forms)


def fits(value: Any, form: Any) -> bool:
    """Whether a value, as JSON has it, is of a form."""
    match form:
        case dict():
            same = type(value) is dict and value.keys() == form.keys()
            return same and all(fits(value[name], one) for name, one in form.items())
        case list():
            (one,) = form
            return type(value) is list and all(fits(each, one) for each in value)
        case tuple():
            same = type(value) is list and len(value) == len(form)
            return same and all(fits(each, one) for each, one in zip(value, form, strict=True))
        case Named(form=one):
            return type(value) is dict and all(fits(each, one) for each in value.values())
        case Where(kinds=kinds, holds=holds):
            return type(value) in kinds and holds(value)
        case frozenset():
            return type(value) is str and value in form
        case type():
            return type(value) is form
    raise TypeError(f"no form: {form!r}")
