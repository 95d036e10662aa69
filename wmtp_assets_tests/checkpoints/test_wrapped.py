"""State dicts within something else: read where the catalog names it, else refused with how."""

from __future__ import annotations

import inspect
import json
import pickle
import re
import shutil
import subprocess
import sys
import zipfile
from collections import Counter, OrderedDict
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file, save_file

from wmtp_assets.catalog import load_catalog
from wmtp_assets.catalog.artifacts import artifacts_of
from wmtp_assets.catalog.model_entries import UpstreamModel
from wmtp_assets.checkpoints.archive import read_archive
from wmtp_assets.checkpoints.casts import CastStats, can_cast, count_nonfinite, make_cast
from wmtp_assets.checkpoints.convert import convert, plan_conversion
from wmtp_assets.checkpoints.dtypes import DType
from wmtp_assets.checkpoints.errors import ArchiveError, CheckpointError, LayoutError
from wmtp_assets.checkpoints.layout import COUNTER
from wmtp_assets.checkpoints.pickle_values import OWN_ATTRIBUTE
from wmtp_assets.checkpoints.source import open_source
from wmtp_assets.checkpoints.tensors import read_tensor
from wmtp_assets_tests.checkpoints.models import (
    LLAMA_CONFIG,
    Tensors,
    llama_tensors,
    random_tensors,
    raw,
    reward_tensors,
    save_shards,
)


def training_state(tensors: Tensors) -> dict[str, object]:
    """What stands beside the weights in a training checkpoint, as weights_only reads it."""
    parameter = torch.nn.Parameter(torch.ones(3))
    optimizer = torch.optim.AdamW([parameter])
    parameter.grad = torch.ones(3)
    optimizer.step()
    return {
        "epoch": 3,
        "loss": 0.25,
        "best": None,
        "rates": [1e-4, [2, 3]],
        "optimizer": optimizer.state_dict(),
        "shape": torch.Size([1, 2]),
        "device": torch.device("cpu"),
        "dtype": torch.bfloat16,
        "seen": {1, 2},
        "counts": Counter("abc"),
        "raw": bytearray(b"abc"),
        "number": 1 + 2j,
        "rng": torch.ones(8, dtype=torch.uint8),
    }


def lightning(tensors: Tensors, **extra: object) -> dict[str, object]:
    """A checkpoint as Lightning 2 writes it."""
    return {
        "epoch": 0,
        "global_step": 1,
        "pytorch-lightning_version": "2.5.0",
        "state_dict": OrderedDict(tensors),
        "loops": {"fit_loop": {"state_dict": {}, "epoch_progress": {"total": {"ready": 1}}}},
        "callbacks": {"ModelCheckpoint{'monitor': None}": {"best_model_score": torch.tensor(0.5)}},
        "optimizer_states": [],
        "lr_schedulers": [],
        "hparams_name": "kwargs",
        "hyper_parameters": {"lr": 1e-4, "names": ["a"], "on": True},
        **extra,
    }


WRAPPERS = {
    "model": ("model", lambda tensors: {"model": tensors, **training_state(tensors)}),
    "state_dict": ("state_dict", lambda tensors: {"state_dict": OrderedDict(tensors)}),
    "module": ("module", lambda tensors: {**training_state(tensors), "module": tensors}),
    "model_state_dict": ("model_state_dict", lambda tensors: {"model_state_dict": tensors}),
    "nested": (["checkpoint", "model"], lambda tensors: {"checkpoint": {"model": tensors}, "n": 1}),
    "lightning": ("state_dict", lightning),
}
PREFIXES = ("", "module.", "_orig_mod.", "module._orig_mod.", "policy.model.module.")


def keys_of(written: object) -> tuple[str, ...]:
    return (written,) if isinstance(written, str) else tuple(written)  # type: ignore[arg-type]


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_wrapped_weights_convert_where_the_catalog_names_wrapper_and_prefix(
    tmp_path: Path, wrapper: str, prefix: str
) -> None:
    written, wrap = WRAPPERS[wrapper]
    tensors = random_tensors("llama", LLAMA_CONFIG)
    path = tmp_path / "checkpoint.pt"
    torch.save(wrap({f"{prefix}{name}": tensor for name, tensor in tensors.items()}), path)
    torch.load(path, weights_only=True)  # what torch does not read either is another matter
    source = open_source([path], weights_key=keys_of(written), strip_prefix=prefix)
    plan = plan_conversion(source, "llama", LLAMA_CONFIG, "float32")
    certificate = convert(plan, tmp_path / "out.safetensors")
    stored = load_file(tmp_path / "out.safetensors")
    assert stored.keys() == tensors.keys()
    assert all(torch.equal(stored[name], tensors[name]) for name in stored)
    assert {t.source_name for t in certificate.tensors} == {f"{prefix}{name}" for name in tensors}


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_without_the_catalogs_words_they_are_refused_and_the_remedy_works(
    tmp_path: Path, wrapper: str, prefix: str
) -> None:
    written, wrap = WRAPPERS[wrapper]
    tensors = random_tensors("llama", LLAMA_CONFIG)
    path = tmp_path / "checkpoint.pt"
    torch.save(wrap({f"{prefix}{name}": tensor for name, tensor in tensors.items()}), path)
    with pytest.raises(ArchiveError) as refused:
        open_source([path])
    message = str(refused.value)
    assert str(path) in message
    assert "not a tensor" in message
    told = re.search(r"as weights_key: (\[[^\]]*\]|\S+) \(48 tensors\)", message)
    assert told, message
    assert told[1] == (written if isinstance(written, str) else "[checkpoint, model]")
    keys = keys_of(written)
    if prefix:
        with pytest.raises(LayoutError) as unknown:
            plan_conversion(open_source([path], None, keys), "llama", LLAMA_CONFIG, "float32")
        advice = re.search(r"strip_prefix: (\S+)$", str(unknown.value))
        assert advice, str(unknown.value)
        assert advice[1] == prefix
    source = open_source([path], None, keys, prefix)
    assert len(plan_conversion(source, "llama", LLAMA_CONFIG, "float32").tensors) == len(tensors)


def test_a_prefix_is_stripped_from_shards_with_their_index_and_from_safetensors(
    tmp_path: Path,
) -> None:
    tensors = random_tensors("llama", LLAMA_CONFIG)
    named = {f"module.{name}": tensor for name, tensor in tensors.items()}
    files, index = save_shards(named, tmp_path)
    source = open_source(files, index, strip_prefix="module.")
    assert (source.tensors.keys(), source.warnings) == (tensors.keys(), ())
    save_file(named, tmp_path / "a.safetensors")
    source = open_source([tmp_path / "a.safetensors"], strip_prefix="module.")
    assert source.tensors.keys() == tensors.keys()
    with pytest.raises(CheckpointError, match="a safetensors file has no wrapper"):
        open_source([tmp_path / "a.safetensors"], weights_key=("model",))


def test_every_shard_may_be_wrapped(tmp_path: Path) -> None:
    tensors = random_tensors("llama", LLAMA_CONFIG)
    names = list(tensors)
    files = []
    for number, part in enumerate((names[:20], names[20:])):
        files.append(tmp_path / f"{number}.bin")
        torch.save({"model": {name: tensors[name] for name in part}}, files[-1])
    assert open_source(files, weights_key=("model",)).tensors.keys() == tensors.keys()


def test_a_prefix_that_not_every_name_has_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    torch.save({"module.a": torch.ones(1), "b": torch.ones(1)}, path)
    with pytest.raises(CheckpointError, match=r"1 that do not: b.*Correct strip_prefix"):
        open_source([path], strip_prefix="module.")


def test_the_counter_of_an_averaged_model_is_left_out_and_the_remedy_works(tmp_path: Path) -> None:
    averaged = torch.optim.swa_utils.AveragedModel(torch.nn.Linear(1, 1))
    tensors = random_tensors("llama", LLAMA_CONFIG)
    counter = {"n_averaged": averaged.state_dict()["n_averaged"]}
    path = tmp_path / "ema.pt"
    torch.save(counter | {f"module.{name}": tensor for name, tensor in tensors.items()}, path)
    with pytest.raises(LayoutError, match=r"strip_prefix: module\.$"):
        plan_conversion(open_source([path]), "llama", LLAMA_CONFIG, "float32")
    source = open_source([path], strip_prefix="module.")
    plan = plan_conversion(source, "llama", LLAMA_CONFIG, "float32")
    assert [(entry.name, entry.reason) for entry in plan.dropped] == [("n_averaged", COUNTER)]
    convert(plan, tmp_path / "out.safetensors")
    stored = load_file(tmp_path / "out.safetensors")
    assert stored.keys() == tensors.keys()
    assert all(torch.equal(stored[name], tensors[name]) for name in stored)


def test_an_equal_second_trunk_keeps_its_twin_behind_a_prefix(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    tensors = reward_tensors(shared=False)
    torch.save({f"module.{name}": tensor for name, tensor in tensors.items()}, path)
    source = open_source([path], strip_prefix="module.")
    plan = plan_conversion(source, "llama-reward", LLAMA_CONFIG, "bfloat16")
    twins = {entry.name: entry.equal_to for entry in plan.dropped}
    assert twins["module.model.model.norm.weight"] == "module.transformer.norm.weight"


@pytest.mark.parametrize(
    ("keys", "found"),
    [
        (("weights",), "'model', 'step'"),
        (("model", "x"), "'a', 'b'"),
        (("step",), "a number"),
        (("step", "x"), "found a number"),
        (("model", "a"), "a tensor"),
    ],
)
def test_a_key_that_is_not_there_is_refused_with_what_is(
    tmp_path: Path, keys: tuple[str, ...], found: str
) -> None:
    path = tmp_path / "a.bin"
    torch.save({"model": {"a": torch.ones(1), "b": torch.ones(2)}, "step": 3}, path)
    with pytest.raises(ArchiveError, match=re.escape(found)) as refused:
        read_archive(path, keys)
    assert str(path) in str(refused.value)


def test_a_wrapper_that_is_not_there_is_refused_and_the_remedy_works(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    torch.save({"a": torch.ones(1)}, path)
    with pytest.raises(ArchiveError, match="Leave weights_key out of the catalog's entry"):
        read_archive(path, ("model",))
    assert [tensor.name for tensor in read_archive(path)] == ["a"]


@pytest.mark.parametrize(
    "value",
    [SimpleNamespace(lr=1), Path("x"), torch.nn.Linear(1, 1), torch.Generator, re.compile("x")],
    ids=lambda value: type(value).__name__,
)
@pytest.mark.parametrize("place", ["hyper_parameters", "callbacks"])
def test_lightning_with_any_class_is_refused_as_weights_only_does_and_the_remedy_works(
    tmp_path: Path, value: object, place: str
) -> None:
    tensors = random_tensors("llama", LLAMA_CONFIG)
    path = tmp_path / "FILE"
    torch.save(lightning(tensors, **{place: {"value": value}}), path)
    with pytest.raises(pickle.UnpicklingError):
        torch.load(path, weights_only=True)
    with pytest.raises(ArchiveError, match="which no state dict needs; it was not run") as refused:
        read_archive(path, ("state_dict",))
    _run_remedy(str(refused.value), tmp_path)
    found = {tensor.name: read_tensor(tensor).tobytes() for tensor in read_archive(path)}
    assert found == {name: raw(tensor) for name, tensor in tensors.items()}


def _run_remedy(message: str, folder: Path) -> None:
    """Runs the command that the message gives, in `folder`, and puts its result in FILE's place."""
    command = re.search(r'python -c "([^"]*)"', message)
    assert command, message
    subprocess.run([sys.executable, "-c", command[1]], cwd=folder, check=True)
    shutil.move(folder / "FILE.new", folder / "FILE")


def test_the_old_format_is_readable_after_its_remedy(tmp_path: Path) -> None:
    tensors = llama_tensors()
    torch.save(tensors, tmp_path / "FILE", _use_new_zipfile_serialization=False)
    with pytest.raises(ArchiveError, match="torch's old format") as refused:
        read_archive(tmp_path / "FILE")
    _run_remedy(str(refused.value), tmp_path)
    assert [t.name for t in read_archive(tmp_path / "FILE")] == list(tensors)


def test_a_big_endian_archive_is_readable_after_its_remedy(tmp_path: Path) -> None:
    path = tmp_path / "FILE"
    wanted = torch.arange(6, dtype=torch.float32)
    torch.save({"w": wanted}, tmp_path / "little")
    with zipfile.ZipFile(tmp_path / "little") as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            if name.endswith("/byteorder"):
                data = b"big"
            elif name.endswith("/data/0"):
                data = wanted.numpy().astype(">f4").tobytes()
            new.writestr(name, data)
    with pytest.raises(ArchiveError, match=r"not little-endian.*Expected: little") as refused:
        read_archive(path)
    _run_remedy(str(refused.value), tmp_path)
    (tensor,) = read_archive(path)
    assert read_tensor(tensor).tobytes() == raw(wanted)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_torchscript_is_refused_and_readable_after_its_remedy(tmp_path: Path) -> None:
    module = torch.nn.Linear(3, 2)
    torch.jit.save(torch.jit.script(module), str(tmp_path / "FILE"))
    with pytest.raises(ArchiveError, match="TorchScript archive") as refused:
        read_archive(tmp_path / "FILE")
    _run_remedy(str(refused.value), tmp_path)
    found = {t.name: read_tensor(t).tobytes() for t in read_archive(tmp_path / "FILE")}
    assert found == {name: raw(tensor) for name, tensor in module.state_dict().items()}


def _negated(path: Path) -> None:
    torch.save({"a": torch._neg_view(torch.arange(4.0))}, path)


def _deflated(path: Path) -> None:
    torch.save({"a": torch.arange(4.0)}, path)
    with zipfile.ZipFile(path) as file:
        records = {info.filename: file.read(info) for info in file.infolist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in records.items():
            file.writestr(name, data)


READ_BY_TORCH: dict[str, tuple[Callable[[Path], object], str]] = {
    "a number among the tensors": (
        lambda path: torch.save({"a": torch.arange(4.0), "step": 3}, path),
        "the entry 'step' is a number",
    ),
    "null among the tensors": (
        lambda path: torch.save({"a": torch.arange(4.0), "b._extra_state": None}, path),
        "the entry 'b._extra_state' is null",
    ),
    "an expanded view": (
        lambda path: torch.save({"a": torch.ones(1).expand(4)}, path),
        "an expanded view",
    ),
    "a negated view": (_negated, "a view that changes its values"),
    "compressed records": (_deflated, "is compressed or encrypted"),
}


@pytest.mark.slow
@pytest.mark.parametrize("form", READ_BY_TORCH)
def test_what_torch_reads_and_we_do_not_is_readable_after_its_remedy(
    tmp_path: Path, form: str
) -> None:
    write, named = READ_BY_TORCH[form]
    path = tmp_path / "FILE"
    write(path)
    wanted = torch.load(path, weights_only=True)["a"].resolve_neg()
    with pytest.raises(ArchiveError) as refused:
        read_archive(path)
    assert named in str(refused.value)
    _run_remedy(str(refused.value), tmp_path)
    (tensor,) = read_archive(path)
    assert (tensor.name, read_tensor(tensor).tobytes()) == ("a", raw(wanted.contiguous()))


@pytest.mark.parametrize(
    "value", [[torch.ones(2)], torch.ones(2), {0: torch.ones(2)}, {"a": {"b": [torch.ones(2)]}}]
)
def test_what_holds_no_named_tensors_has_a_remedy_that_names_no_missing_field(
    tmp_path: Path, value: object
) -> None:
    torch.save(value, tmp_path / "a.pth")
    with pytest.raises(ArchiveError) as refused:
        read_archive(tmp_path / "a.pth")
    assert refused.value.hint
    assert "weights_key" not in str(refused.value)


def _tar(path: Path) -> None:
    import tarfile

    with tarfile.open(path, "w") as file:
        for name in ("sys_info", "pickle", "tensors", "storages"):
            file.addfile(tarfile.TarInfo(name))


FORMS = {
    "tar": (_tar, "torch's format before 0.1.10"),
    "HTML": (lambda path: path.write_text("<html>404</html>"), "HTML"),
    "a pointer": (
        lambda path: path.write_text("version https://git-lfs.github.com/spec/v1\n"),
        "Git LFS pointer",
    ),
    "nothing": (lambda path: path.touch(), "an empty file"),
    "safetensors": (lambda path: save_file({"a": torch.ones(1)}, path), "safetensors"),
    "GGUF": (lambda path: path.write_bytes(b"GGUF\x03\0\0\0"), "a GGUF file"),
    "pickle": (lambda path: path.write_bytes(pickle.dumps({"a": 1})), "begins with 80 04"),
}


@pytest.mark.parametrize("form", FORMS)
def test_what_is_no_archive_is_named(tmp_path: Path, form: str) -> None:
    write, says = FORMS[form]
    path = tmp_path / "weights.bin"
    write(path)  # type: ignore[operator]
    with pytest.raises(ArchiveError, match=re.escape(says)) as refused:
        read_archive(path)
    assert str(path) in str(refused.value)
    assert "What to do: " in str(refused.value)


# Parameters and tensors with attributes


def test_attributes_of_parameters_and_tensors_are_read_past(tmp_path: Path) -> None:
    parameter = torch.nn.Parameter(torch.randn(4, 2))
    parameter.tensor_model_parallel = True  # type: ignore[attr-defined]
    parameter.partition = {"dim": [0, 1], "grad": torch.ones(2)}  # type: ignore[attr-defined]
    parameter._is_hf_initialized = True  # type: ignore[attr-defined]
    tensor = torch.randn(3)
    tensor.tag = (1, "x", None)  # type: ignore[attr-defined]
    small = torch.randn(4).to(torch.float8_e5m2)
    small.scale = 0.5  # type: ignore[attr-defined]
    state = {"p": parameter, "t": tensor, "s": small}
    torch.save(state, tmp_path / "a.bin")
    torch.load(tmp_path / "a.bin", weights_only=True)
    found = {t.name: read_tensor(t).tobytes() for t in read_archive(tmp_path / "a.bin")}
    assert found == {name: raw(value.detach()) for name, value in state.items()}


def test_attributes_that_torch_itself_defines_are_refused(tmp_path: Path) -> None:
    """`data` as an attribute would replace the values: what torch reads would not be what we do."""
    parameter = torch.nn.Parameter(torch.zeros(4))
    parameter.dbta = torch.ones(4)  # type: ignore[attr-defined]
    torch.save({"p": parameter}, tmp_path / "a.bin")
    data = (tmp_path / "a.bin").read_bytes()
    assert data.count(b"X\x04\0\0\0dbta") == 1
    with (
        zipfile.ZipFile(tmp_path / "a.bin") as old,
        zipfile.ZipFile(tmp_path / "b.bin", "w") as new,
    ):
        for name in old.namelist():
            new.writestr(name, old.read(name).replace(b"dbta", b"data"))
    assert torch.load(tmp_path / "b.bin", weights_only=True)["p"].tolist() == [1] * 4
    with pytest.raises(ArchiveError, match="sets a tensor's own 'data'"):
        read_archive(tmp_path / "b.bin")


def test_every_attribute_that_torch_defines_is_in_the_list() -> None:
    own = {
        name
        for name in dir(torch.Tensor)
        if not name.startswith("__")
        and (
            inspect.isgetsetdescriptor(found := inspect.getattr_static(torch.Tensor, name))
            or inspect.ismemberdescriptor(found)
            or isinstance(found, property)
        )
    }
    assert [name for name in own if not OWN_ATTRIBUTE.fullmatch(name)] == []


# float8

FLOAT8 = (DType.FLOAT8_E4M3FN, DType.FLOAT8_E5M2)
ALL = torch.arange(256, dtype=torch.int16).to(torch.uint8)


@pytest.mark.parametrize("dtype", FLOAT8)
@pytest.mark.parametrize("after", [DType.FLOAT16, DType.BFLOAT16, DType.FLOAT32])
def test_every_float8_encoding_is_cast_as_torch_casts_it(dtype: DType, after: DType) -> None:
    values = ALL.view(getattr(torch, dtype))
    wanted = values.to(getattr(torch, after))
    made = torch.empty(256 * after.itemsize, dtype=torch.uint8)
    stats = make_cast(dtype, after)(ALL.numpy(), made.numpy())
    cast = made.view(getattr(torch, after))
    finite = ~wanted.isnan()
    assert torch.equal(cast.isnan(), wanted.isnan())
    width = {2: torch.int16, 4: torch.int32}[after.itemsize]
    assert torch.equal(cast.view(width)[finite], wanted.view(width)[finite])
    exact = values.to(torch.float64)
    assert stats == CastStats(
        nan=int(exact.isnan().sum()),
        inf=int(exact.isinf().sum()),
        zeros=int((exact == 0).sum()),
        zeroed=0,
        overflow=0,
        error=0.0,
    )


@pytest.mark.parametrize("dtype", FLOAT8)
def test_nan_and_infinity_in_float8_are_counted_by_their_bits(dtype: DType) -> None:
    for code in range(256):
        value = ALL[code : code + 1].view(getattr(torch, dtype)).to(torch.float32)
        for count in (1, 7):
            stats = CastStats()
            count_nonfinite(ALL[code : code + 1].numpy().repeat(count), dtype, stats)
            assert (stats.nan, stats.inf) == (count * value.isnan(), count * value.isinf()), code


def test_nothing_is_cast_to_float8() -> None:
    for dtype in FLOAT8:
        assert can_cast(dtype, dtype)
        assert not any(can_cast(before, dtype) for before in DType if before is not dtype)
        assert not can_cast(dtype, DType.INT8)


@pytest.mark.parametrize("form", ["bin", "safetensors"])
@pytest.mark.parametrize("dtype", FLOAT8)
def test_a_float8_checkpoint_converts(tmp_path: Path, dtype: DType, form: str) -> None:
    tensors = {
        name: tensor.to(getattr(torch, dtype))
        for name, tensor in random_tensors("llama", LLAMA_CONFIG).items()
    }
    path = tmp_path / f"a.{form}"
    if form == "bin":
        torch.save(tensors, path)
        torch.load(path, weights_only=True)
    else:
        save_file(tensors, path)
    plan = plan_conversion(open_source([path]), "llama", LLAMA_CONFIG, "bfloat16")
    certificate = convert(plan, tmp_path / "out.safetensors")
    assert {t.source_dtype for t in certificate.tensors} == {dtype}
    stored = load_file(tmp_path / "out.safetensors")
    assert all(torch.equal(stored[n], tensors[n].to(torch.bfloat16)) for n in stored)


@pytest.mark.parametrize("dtype", ["uint16", "uint32", "uint64", "float8_e8m0fnu"])
def test_types_that_no_checkpoint_here_has_are_refused(tmp_path: Path, dtype: str) -> None:
    torch.save({"a": torch.zeros(4).to(getattr(torch, dtype))}, tmp_path / "a.bin")
    with pytest.raises(ArchiveError, match=dtype):
        read_archive(tmp_path / "a.bin")


# The catalog's fields


def _model(**fields: object) -> UpstreamModel:
    model = load_catalog("sample").upstream_models()["ref-sheared-llama-2.7b"]
    return UpstreamModel.model_validate({**model.model_dump(), **fields})


def test_the_catalogs_fields_are_read_and_checked() -> None:
    assert _model().weights_key == ()
    assert _model(weights_key="state_dict").weights_key == ("state_dict",)
    assert _model(weights_key=["a", "b.c"]).weights_key == ("a", "b.c")
    assert _model(strip_prefix="module._orig_mod.").strip_prefix == "module._orig_mod."
    for key in ("", ["a", ""], [7], 7, {"a": 1}, ["a"] * 5, "x" * 256):
        with pytest.raises(ValidationError):
            _model(weights_key=key)
    for prefix in ("module", ".", "..", "a..b.", "a/b.", " module.", "module.\n", 7, None):
        with pytest.raises(ValidationError):
            _model(strip_prefix=prefix)


def test_models_without_the_fields_are_as_fresh_as_before_and_with_them_made_again() -> None:
    catalog = load_catalog("sample")
    name = "ref-sheared-llama-2.7b"
    before = artifacts_of(catalog)[f"models/{name}"]
    assert "weights_key" not in json.dumps(dict(before.settings))
    digests = {before.settings_digest}
    for fields in ({"weights_key": "model"}, {"strip_prefix": "module."}):
        models = {**catalog.models, name: _model(**fields)}
        changed = catalog.model_copy(update={"models": models})
        digests.add(artifacts_of(changed)[f"models/{name}"].settings_digest)
    assert len(digests) == 3
