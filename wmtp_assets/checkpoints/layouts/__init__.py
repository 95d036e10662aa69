"""The known layouts, one module each: whatever lies in this folder and has a `LAYOUT`.

What a layout has to say is in `layout.py`. Facts come from the models' own reference code
(facebook/multi-token-prediction's model.py, transformers' modeling_llama.py).
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from pkgutil import iter_modules

from wmtp_assets.checkpoints import layout as interface
from wmtp_assets.checkpoints.errors import LayoutError
from wmtp_assets.checkpoints.layout import Assignment, Config, Layout, Shape

LAYOUTS: dict[str, Layout] = {}
"""By the name that the catalog gives it."""


def layout_named(name: str) -> Layout:
    """The layout of that name; LayoutError where there is none."""
    if name not in LAYOUTS:
        raise LayoutError("This layout is not known", expected=" or ".join(LAYOUTS), found=name)
    return LAYOUTS[name]


def sliced_layouts() -> list[str]:
    """The names of the layouts whose checkpoints can be sliced."""
    return [name for name, layout in LAYOUTS.items() if layout.is_sliced]


def expected_shapes(layout: str, config: Config) -> dict[str, Shape]:
    """The target's tensor names and shapes that `config` demands."""
    return layout_named(layout).shapes(config)


def assign(layout: str, config: Config, names: Iterable[str]) -> Assignment:
    """Find each target tensor among the source's `names`, and a reason for each that is left over.

    Raises LayoutError, naming them, when a tensor is missing or one is left without a reason.
    """
    return interface.assign(layout_named(layout), config, names)


for _module in iter_modules(__path__):
    _found: Layout = import_module(f"{__name__}.{_module.name}").LAYOUT
    LAYOUTS[_found.name] = _found
