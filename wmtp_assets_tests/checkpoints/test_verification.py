"""Certificates: one byte of one tensor, on either side, or two swapped, and each is named."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from wmtp_assets.checkpoints.certificate import Certificate
from wmtp_assets.checkpoints.convert import convert, plan_conversion
from wmtp_assets.checkpoints.errors import CheckpointError
from wmtp_assets.checkpoints.planning import Plan
from wmtp_assets.checkpoints.safetensors_file import read_header
from wmtp_assets.checkpoints.scan import scan_file
from wmtp_assets.checkpoints.source import open_source
from wmtp_assets.checkpoints.verification import verify_certificate
from wmtp_assets.findings import Finding
from wmtp_assets_tests.checkpoints.models import (
    LLAMA_CONFIG,
    MTP_PARAMS,
    mtp_tensors,
    reward_tensors,
    rotary_frequencies,
    save,
)

ONE, OTHER = "layers.1.attention.wq.weight", "layers.1.attention.wk.weight"


class World:
    """A source, its conversion, and the certificate as it is read back from its document."""

    def __init__(self, folder: Path) -> None:
        self.source = save(mtp_tensors(), folder / "consolidated.pth")
        self.target = folder / "model.safetensors"
        certificate = convert(self.plan(), self.target)
        document = folder / "certificate.json"
        document.write_text(json.dumps(certificate.to_json()))
        self.certificate = Certificate.from_json(json.loads(document.read_text()))

    def plan(self) -> Plan:
        return plan_conversion(open_source([self.source]), "meta-mtp", MTP_PARAMS, "float16")

    def verify(self) -> dict[str, Finding]:
        findings = verify_certificate(self.certificate, self.target, self.plan())
        return {finding.name: finding for finding in findings}


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def flip(path: Path, offset: int) -> None:
    data = bytearray(path.read_bytes())
    data[offset] ^= 1
    path.write_bytes(data)


def swap(path: Path, first: int, second: int, size: int) -> None:
    data = bytearray(path.read_bytes())
    data[first : first + size], data[second : second + size] = (
        data[second : second + size],
        data[first : first + size],
    )
    path.write_bytes(data)


def test_an_untouched_conversion_is_as_certified(world: World) -> None:
    assert {name: finding.passed for name, finding in world.verify().items()} == {
        "certificate_matches_target": True,
        "certificate_matches_source": True,
    }


def test_a_flipped_byte_of_the_target_is_named(world: World) -> None:
    header = read_header(world.target)
    flip(world.target, header.data_start + header.tensors[ONE].end - 1)
    found = world.verify()
    assert not found["certificate_matches_target"].passed
    assert [line.split(":")[0] for line in _lines(found["certificate_matches_target"])] == [ONE]
    assert found["certificate_matches_source"].passed


def test_a_flipped_byte_of_the_source_is_named(world: World) -> None:
    tensor = open_source([world.source]).tensors[ONE]
    flip(world.source, tensor.offset + 77)
    found = world.verify()
    assert found["certificate_matches_target"].passed
    assert [line.split(":")[0] for line in _lines(found["certificate_matches_source"])] == [ONE]


def test_a_flip_that_the_cast_rounds_away_is_named_all_the_same(world: World) -> None:
    tensor = open_source([world.source]).tensors[ONE]
    flip(world.source, tensor.offset)  # the lowest bit of a float32
    (line,) = _lines(world.verify()["certificate_matches_source"])
    assert line.startswith(f"{ONE}: its bytes at the source")


def test_two_swapped_tensors_of_the_target_are_both_named(world: World) -> None:
    header = read_header(world.target)
    one, other = header.tensors[ONE], header.tensors[OTHER]
    swap(
        world.target,
        header.data_start + one.begin,
        header.data_start + other.begin,
        one.end - one.begin,
    )
    lines = _lines(world.verify()["certificate_matches_target"])
    assert [line.split(":")[0] for line in lines] == sorted([ONE, OTHER])


def test_two_swapped_tensors_of_the_source_are_both_named(world: World) -> None:
    tensors = open_source([world.source]).tensors
    swap(world.source, tensors[ONE].offset, tensors[OTHER].offset, tensors[ONE].nbytes)
    lines = _lines(world.verify()["certificate_matches_source"])
    assert [line.split(":")[0] for line in lines] == sorted([ONE, OTHER])


def test_a_certificate_that_was_edited_to_match_a_changed_target_fails_at_the_source(
    world: World,
) -> None:
    header = read_header(world.target)
    flip(world.target, header.data_start + header.tensors[ONE].begin)

    scan = scan_file(read_header(world.target))
    world.certificate = replace(
        world.certificate,
        target_sha256=scan.sha256,
        tensors=tuple(
            replace(tensor, digest=scan.tensors[tensor.name])
            for tensor in world.certificate.tensors
        ),
    )
    found = world.verify()
    assert found["certificate_matches_target"].passed
    (line,) = _lines(found["certificate_matches_source"])
    assert line == f"{ONE}: the cast of its source gives other bytes"


def test_numbers_of_the_certificate_are_recomputed_too(world: World) -> None:
    first, *rest = world.certificate.tensors
    world.certificate = replace(
        world.certificate, tensors=(replace(first, max_cast_error=0.5), *rest)
    )
    (line,) = _lines(world.verify()["certificate_matches_source"])
    assert line.startswith(f"{first.name}: max_cast_error is ")


def test_a_target_that_cannot_be_read_is_a_finding(world: World) -> None:
    world.target.write_bytes(b"{}")
    (first, *_) = verify_certificate(world.certificate, world.target)
    assert not first.passed
    assert "longer than the file" in str(first.found)


def test_a_second_trunk_that_changed_after_the_conversion_is_found(tmp_path: Path) -> None:
    source = save(reward_tensors(shared=False), tmp_path / "pytorch_model.bin")

    def plan() -> Plan:
        return plan_conversion(open_source([source]), "llama-reward", LLAMA_CONFIG, "bfloat16")

    certificate = convert(plan(), tmp_path / "model.safetensors")
    copy = open_source([source]).tensors["model.model.layers.2.mlp.up_proj.weight"]
    flip(source, copy.offset)
    found = verify_certificate(certificate, tmp_path / "model.safetensors", plan())
    assert [finding.passed for finding in found] == [True, False]
    assert copy.name in str(found[1].found)


def test_an_entry_that_is_dropped_differently_is_named(tmp_path: Path) -> None:
    tensors = mtp_tensors()
    source = save(tensors, tmp_path / "a.pth")
    plan = plan_conversion(open_source([source]), "meta-mtp", MTP_PARAMS, "float16")
    certificate = convert(plan, tmp_path / "m.safetensors")
    tensors["rope.freqs"] = rotary_frequencies(10000.0)
    save(tensors, source)
    again = plan_conversion(open_source([source]), "meta-mtp", MTP_PARAMS, "float16")
    _, against = verify_certificate(certificate, tmp_path / "m.safetensors", again)
    assert _lines(against) == ["rope.freqs: dropped differently"]


def _lines(finding: Finding) -> list[str]:
    assert not finding.passed
    lines = finding.details["differing"]
    assert isinstance(lines, list)
    return lines


def test_a_certificate_names_the_algorithm_of_its_digests(world: World) -> None:
    value = world.certificate.to_json()
    assert (value["format"], value["digest_algorithm"]) == (2, "blake3")
    for change in ({"digest_algorithm": "sha256"}, {"format": 1}):
        with pytest.raises(CheckpointError, match="certificate cannot be read"):
            Certificate.from_json({**value, **change})
    del value["digest_algorithm"]
    with pytest.raises(CheckpointError, match="digest_algorithm"):
        Certificate.from_json(value)
