"""The pickle inside a torch archive, interpreted in a closed world: nothing is ever imported.

Here: which tensors a state dict names, and where else in the pickle one is. `pickle_interpreter.py`
executes the opcodes that `torch.save` writes, `pickle_values.py` has the names that it knows; every
other name, opcode or shape of value is refused. What is no tensor is kept as an inert value and
never used.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from wmtp_assets.checkpoints.pickle_interpreter import RESAVE_TENSORS, Interpreter
from wmtp_assets.checkpoints.pickle_values import PickleError, View, described

# A state dict of 10,000 tensors takes some 2 MB and 300,000 opcodes. At this cap and that
# of opcodes, the worst pickle that was found makes less than 150 MB of Python objects.
MAX_BYTES = 8 << 20
_OTHER_FILE = (
    "Name the file that holds the weights, a dict of named tensors, as the catalog's weights."
)
_MAX_WRAPPERS = 4  # levels of dicts within dicts in which a state dict is looked for


def read_state_dict(data: bytes, weights_key: Sequence[str] = ()) -> dict[str, View]:
    """The tensors that a pickled state dict names, in its order. Raises PickleError.

    With `weights_key` the state dict is not the pickle itself but the value behind these keys, one
    within the other; what else the pickle holds is not looked at.
    """
    if len(data) > MAX_BYTES:
        raise PickleError(f"the pickle is {len(data):,} bytes long, more than {MAX_BYTES:,}")
    whole = value = Interpreter(data).run()
    for depth, key in enumerate(weights_key, start=1):
        if not isinstance(value, dict) or key not in value:
            named = ".".join(weights_key[:depth])
            found = f"the keys {_some(value)}" if isinstance(value, dict) else described(value)
            raise PickleError(
                f"the catalog's weights_key {named[:80]!a} is not there, found {found}",
                _advice(whole),
            )
        value = value[key]
    if not isinstance(value, dict):
        raise PickleError(
            f"the pickle holds {described(value)}, not a dict of tensors", _OTHER_FILE
        )
    views: dict[str, View] = {}
    for name, view in value.items():
        if not isinstance(name, str):
            raise PickleError(
                f"a key is {described(name)}, not a text", _advice(whole) or _OTHER_FILE
            )
        if not isinstance(view, View):
            has_tensors = any(isinstance(entry, View) for entry in value.values())
            alone = RESAVE_TENSORS if has_tensors and not weights_key else _OTHER_FILE
            raise PickleError(
                f"the entry {name[:80]!a} is {described(view)}, not a tensor",
                _advice(whole) or alone,
            )
        views[name] = view
    return views


def _advice(whole: object) -> str | None:
    """What to write into the catalog where the weights lie deeper; None where they are nowhere."""
    found = sorted(_state_dicts(whole, (), set()), key=lambda each: -each[1])
    if not found:
        return None
    if not found[0][0]:
        return "Leave weights_key out of the catalog's entry: the archive holds the weights alone."
    listed = ", ".join(f"{_yaml(keys)} ({count:,} tensors)" for keys, count in found[:4])
    return f"Name where the weights lie in the catalog's entry, as weights_key: {listed}."


def _state_dicts(
    value: object, keys: tuple[str, ...], seen: set[int]
) -> Iterator[tuple[tuple[str, ...], int]]:
    """Every dict of nothing but tensors at and below `value`: its keys, and how many tensors."""
    if not isinstance(value, dict) or not value or id(value) in seen:
        return
    seen.add(id(value))
    if all(isinstance(key, str) and isinstance(entry, View) for key, entry in value.items()):
        yield keys, len(value)
    elif len(keys) < _MAX_WRAPPERS:
        for key, entry in value.items():
            if isinstance(key, str):
                yield from _state_dicts(entry, (*keys, key), seen)


def _yaml(keys: tuple[str, ...]) -> str:
    plain = all(key.replace("_", "a").isalnum() and key.isascii() for key in keys)
    shown = [key[:80] if plain else ascii(key[:80]) for key in keys]
    return shown[0] if len(shown) == 1 else f"[{', '.join(shown)}]"


def _some(value: Mapping[object, object]) -> str:
    keys = [f"{key[:40]!a}" if isinstance(key, str) else str(key) for key in list(value)[:8]]
    return ", ".join(keys) + (f" and {len(value) - 8:,} more" if len(value) > 8 else "")
