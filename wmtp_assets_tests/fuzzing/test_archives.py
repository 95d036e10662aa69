"""torch archives: the zip directory, the pickle's opcodes and single bytes are spoiled."""

from __future__ import annotations

import io
import pickletools
import random
import struct
import warnings
import zipfile
from collections import OrderedDict
from functools import cache
from pathlib import Path

import pytest
import torch

from wmtp_assets.checkpoints.archive import read_archive
from wmtp_assets.checkpoints.tensors import read_tensor
from wmtp_assets_tests.checkpoints.models import raw
from wmtp_assets_tests.fuzzing.harness import fuzz
from wmtp_assets_tests.fuzzing.mutations import EDGES, mutate_bytes

pytestmark = pytest.mark.fuzz
Tensors = dict[str, torch.Tensor]


def _plain() -> Tensors:
    whole = torch.arange(24, dtype=torch.float32).reshape(4, 6)
    return {"a.weight": whole, "b": whole[1:3], "c": whole.t(), "d": torch.ones(3).half()}


def _odd() -> object:
    parameter = torch.nn.Parameter(torch.ones(2, 2))
    parameter.tag = 1  # type: ignore[attr-defined]
    small = torch.arange(8).to(torch.float8_e4m3fn)
    state = OrderedDict(p=parameter, s=small, n=torch.zeros(0, 3), i=torch.arange(3))
    state._metadata = OrderedDict()  # type: ignore[attr-defined]
    return state


def _wrapped() -> object:
    return {"model": _plain(), "step": 3, "lr": [0.5, None, True], "names": {"x": ("y", {0: 1})}}


@cache
def archives() -> list[tuple[bytes, tuple[str, ...]]]:
    """Small archives, each with the key behind which its weights lie."""
    made = []
    for value, key in ((_plain(), ()), (_odd(), ()), (_wrapped(), ("model",))):
        for protocol in (2, 4):
            file = io.BytesIO()
            torch.save(value, file, pickle_protocol=protocol)
            made.append((file.getvalue(), key))
    return made


def _with_pickle(data: bytes, pickle: bytes) -> bytes:
    """The archive with another pickle, all else (checksums too) as a writer would have it."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            new.writestr(name, pickle if name.endswith("/data.pkl") else old.read(name))
    return out.getvalue()


def _pickle_of(data: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        return file.read("archive/data.pkl")


def _spoil_opcodes(rng: random.Random, pickle: bytes) -> bytes:
    """Opcodes removed, repeated, moved or given other arguments."""
    starts = [at for _, _, at in pickletools.genops(pickle) if at is not None]
    parts = [pickle[a:b] for a, b in zip(starts, [*starts[1:], len(pickle)], strict=True)]
    for _ in range(rng.randint(1, 3)):
        at, other = rng.randrange(len(parts)), rng.randrange(len(parts))
        way = rng.random()
        if way < 0.2 and len(parts) > 2:
            del parts[at]
        elif way < 0.4:
            parts.insert(at, parts[other])
        elif way < 0.6:
            parts[at], parts[other] = parts[other], parts[at]
        elif way < 0.8:
            number = rng.choice(EDGES)
            size = number.bit_length() // 8 + 1
            parts[at] = b"\x8a" + bytes([size]) + number.to_bytes(size, "little", signed=True)
        else:
            parts[at] = parts[at][:1] + mutate_bytes(rng, parts[at][1:])
    return b"".join(parts)


def _spoil_directory(rng: random.Random, data: bytes) -> bytes:
    """A number of one of the zip's own headers set to an edge."""
    spoiled = bytearray(data)
    signatures = (b"PK\x01\x02", b"PK\x03\x04", b"PK\x05\x06", b"PK\x06\x06", b"PK\x06\x07")
    places = [at for at in range(len(data)) if data[at : at + 4] in signatures]
    for _ in range(rng.randint(1, 2)):
        form = rng.choice(("<H", "<I", "<Q"))
        at = min(rng.choice(places) + rng.randrange(4, 56), len(data) - struct.calcsize(form))
        old = struct.unpack_from(form, data, at)[0]
        new = rng.choice((*EDGES, old + 1, old - 1, len(data))) % (1 << 8 * struct.calcsize(form))
        struct.pack_into(form, spoiled, at, new)
    return bytes(spoiled)


def test_archives(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    agreed = [0]

    def attempt(rng: random.Random) -> None:
        data, key = rng.choice(archives())
        way = rng.random()
        if way < 0.3:
            data = _with_pickle(data, _spoil_opcodes(rng, _pickle_of(data)))
        elif way < 0.5:
            data = _with_pickle(data, mutate_bytes(rng, _pickle_of(data)))
        elif way < 0.75:
            data = _spoil_directory(rng, data)
        else:
            data = mutate_bytes(rng, data)
        path.write_bytes(data)
        found = {t.name: t for t in read_archive(path, key)}
        values = {name: read_tensor(tensor).tobytes() for name, tensor in found.items()}
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                state = torch.load(path, weights_only=True)
                for part in key:
                    state = state[part]
        except Exception:
            return  # torch is stricter here: about checksums and names that nothing uses
        assert values == {name: raw(tensor.detach()) for name, tensor in state.items()}
        for name, tensor in state.items():
            assert str(tensor.dtype) == f"torch.{found[name].dtype}"
            assert tuple(tensor.shape) == found[name].shape
        agreed[0] += 1

    outcomes = fuzz(attempt)
    print(outcomes, agreed)
    assert outcomes.refused
    assert agreed[0] or outcomes.refused < 20
