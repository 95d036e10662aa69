"""The form of each function's results, stated once, beside the function.

What lies in a folder of results was written by another process, perhaps by another version of the
function. Only what has the stated form is taken as a result.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from wmtp_assets.engines.engine import Function, Result

Number = Annotated[int, Field(ge=0, lt=1 << 63)]
"""Of a row, or how many of something."""
Run = tuple[Number, Number]
"""As of `parts.Runs`."""
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
_FORM: Final = "result_form"


class Form(BaseModel):
    """The keys of a result, and what their values are as JSON: these alone, nothing converted."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


def gives(form: type[Form]) -> Callable[[Function], Function]:
    """States the form of a function's results."""

    def decorated(function: Function) -> Function:
        setattr(function, _FORM, form)
        return function

    return decorated


def has_form(function: Function, result: Result) -> bool:
    """Whether a result has its function's form. Raises TypeError where that is not stated."""
    form = getattr(function, _FORM, None)
    if not (isinstance(form, type) and issubclass(form, Form)):
        raise TypeError(f"{function.__name__}: no form is stated with `gives`")
    try:
        # As JSON, which knows no tuples: a list of so many values is one.
        form.model_validate_json(json.dumps(result))
    except ValidationError:
        return False
    return True
