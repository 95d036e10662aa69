"""Random samples of tensors: what they find, what they read, and that a seed repeats them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from wmtp_assets.checkpoints import sampling
from wmtp_assets.checkpoints.dtypes import DType
from wmtp_assets.checkpoints.planning import Plan, PlannedTensor
from wmtp_assets.checkpoints.safetensors_file import TensorSpec, read_header
from wmtp_assets.checkpoints.sampling import POSITIONS, RUN, WHOLE, compare_samples, draw
from wmtp_assets.checkpoints.tensors import SourceTensor

ROWS, COLUMNS = 1024, 1024  # some eight times what is compared whole
NAME = "weight"


class Pair:
    """A float32 tensor, and a float16 file of it (or of a part of it) that may be changed."""

    def __init__(self, folder: Path, part: tuple[int, int] = (ROWS, COLUMNS)) -> None:
        self.folder = folder
        rng = np.random.Generator(np.random.PCG64(5))
        self.values = rng.standard_normal((ROWS, COLUMNS)).astype("<f4")
        save_file({NAME: self.values}, folder / "source.safetensors")
        self.part = part
        self.stored = self.values[: part[0], : part[1]].astype("<f2")

    def different(self, seed: int) -> list[str]:
        save_file({NAME: np.ascontiguousarray(self.stored)}, self.folder / "target.safetensors")
        source = read_header(self.folder / "source.safetensors").source_tensor(NAME)
        for axis, size in enumerate(self.part):
            source = source.narrow(axis, 0, size)
        plan = self.plan(source)
        found = compare_samples(read_header(self.folder / "target.safetensors"), plan, seed)
        assert found.seed == seed
        return found.different

    def plan(self, source: SourceTensor) -> Plan:
        spec = TensorSpec(NAME, DType.FLOAT16, source.shape)
        return Plan("test", DType.FLOAT16, (PlannedTensor(spec, source),))


def test_enough_positions_are_drawn_to_find_a_hundredth_of_any_tensor() -> None:
    assert 0.99**POSITIONS < 1e-9
    assert WHOLE == POSITIONS * RUN


@pytest.mark.parametrize("elements", [WHOLE + 1, WHOLE + POSITIONS - 1, 1 << 20, 131_072_000])
def test_a_position_is_drawn_in_each_stratum_and_every_element_can_be(elements: int) -> None:
    drawn = draw(NAME, elements, seed=1)
    bounds = np.arange(POSITIONS + 1, dtype=np.int64) * elements // POSITIONS
    assert ((bounds[:-1] <= drawn) & (drawn < bounds[1:])).all()
    assert (np.diff(drawn) > 0).all()
    assert (draw(NAME, elements, 1) == drawn).all()
    assert (draw(NAME, elements, 2) != drawn).any()
    assert (draw("other", elements, 1) != drawn).any()


def test_equal_tensors_are_equal_by_any_seed(tmp_path: Path) -> None:
    pair = Pair(tmp_path)
    assert [pair.different(seed) for seed in range(5)] == [[]] * 5


@pytest.mark.parametrize("part", [(ROWS, COLUMNS), (512, 700), (1000, 137)])
def test_a_hundredth_of_the_values_is_found_wherever_it_lies(
    tmp_path: Path, part: tuple[int, int]
) -> None:
    """In one stretch, spread evenly, and at random: of a whole tensor and of a slice of one."""
    pair = Pair(tmp_path, part)
    assert pair.different(0) == []
    sound, size = pair.stored.copy(), pair.stored.size
    count = size // 100 + 1
    rng = np.random.Generator(np.random.PCG64(9))
    places = [
        np.arange(start, start + count)
        for start in (0, 1024, size // 2, size - count, size - count - 1024)
    ]
    places += [np.arange(0, size, 99), rng.choice(size, count, replace=False)]
    for seed, place in enumerate(places):
        flat = sound.copy().reshape(-1)
        flat[place] *= -1
        pair.stored = flat.reshape(part)
        assert pair.different(seed) == [NAME], place[:3]


def test_a_seed_repeats_what_it_found(tmp_path: Path) -> None:
    """A change so small that some seeds find it and others do not."""
    pair = Pair(tmp_path)
    flat = pair.stored.reshape(-1)
    flat[500_000:500_040] *= -1
    found = {seed: bool(pair.different(seed)) for seed in range(12)}
    assert {seed: bool(pair.different(seed)) for seed in found} == found
    assert set(found.values()) == {True, False}


def test_a_tensor_of_any_number_of_values_up_to_the_limit_is_compared_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sampling, "WHOLE", ROWS * COLUMNS)
    pair = Pair(tmp_path)
    flat = pair.stored.reshape(-1)
    for place in (0, 12_345, flat.size - 1):
        flat[place] *= -1
        assert pair.different(place) == [NAME]
        flat[place] *= -1
    assert pair.different(1) == []


def test_a_file_that_ends_early_is_reported(tmp_path: Path) -> None:
    pair = Pair(tmp_path)
    pair.different(0)
    header = read_header(tmp_path / "target.safetensors")
    with (tmp_path / "target.safetensors").open("r+b") as file:
        file.truncate(header.size // 2)
    source = read_header(tmp_path / "source.safetensors").source_tensor(NAME)
    (wrong,) = compare_samples(header, pair.plan(source), 3).different
    assert "ends" in wrong
