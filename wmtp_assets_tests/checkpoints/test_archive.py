"""Archives that torch.save wrote, read without torch and compared with what torch reads."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from wmtp_assets.checkpoints.archive import read_archive
from wmtp_assets.checkpoints.dtypes import DType
from wmtp_assets.checkpoints.errors import ArchiveError
from wmtp_assets.checkpoints.tensors import pieces, read_tensor
from wmtp_assets_tests.checkpoints.models import raw, save


@pytest.mark.parametrize("dtype", list(DType))
def test_every_type_is_read_as_torch_wrote_it(tmp_path: Path, dtype: DType) -> None:
    wanted = torch.arange(24).reshape(2, 3, 4).to(getattr(torch, dtype))
    (tensor,) = read_archive(save({"w": wanted}, tmp_path / "a.pth"))
    assert (tensor.name, tensor.dtype, tensor.shape) == ("w", dtype, (2, 3, 4))
    assert read_tensor(tensor).tobytes() == raw(wanted)


def test_the_order_of_the_state_dict_is_kept(tmp_path: Path) -> None:
    names = ["z", "a", "m.weight", "b"]
    path = save({name: torch.ones(2) for name in names}, tmp_path / "a.pth")
    assert [tensor.name for tensor in read_archive(path)] == names


def test_a_modules_own_state_dict_is_read_with_its_metadata_and_parameters(tmp_path: Path) -> None:
    module = torch.nn.Linear(3, 2)
    state = module.state_dict()
    assert isinstance(state, OrderedDict)
    assert hasattr(state, "_metadata")
    state["parameter"] = torch.nn.Parameter(torch.ones(3))
    torch.save(state, tmp_path / "a.bin")
    found = {tensor.name: read_tensor(tensor) for tensor in read_archive(tmp_path / "a.bin")}
    assert {name: bytes(values) for name, values in found.items()} == {
        name: raw(tensor.detach()) for name, tensor in state.items()
    }


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_every_pickle_protocol_of_torch_is_read(tmp_path: Path, protocol: int) -> None:
    wanted = torch.randn(300, 2)
    torch.save({"w": wanted}, tmp_path / "a.pth", pickle_protocol=protocol)
    (tensor,) = read_archive(tmp_path / "a.pth")
    assert read_tensor(tensor).tobytes() == raw(wanted)


def test_tensors_of_one_storage_are_known_to_be_the_same_memory(tmp_path: Path) -> None:
    whole = torch.randn(4, 6)
    path = save(
        {"a": whole, "b": whole, "part": whole[1:3], "copy": whole.clone()}, tmp_path / "a.pth"
    )
    found = {tensor.name: tensor for tensor in read_archive(path)}
    assert found["a"].same_memory(found["b"])
    assert not found["a"].same_memory(found["part"])
    assert not found["a"].same_memory(found["copy"])
    assert read_tensor(found["part"]).tobytes() == raw(whole[1:3])


def test_tensors_without_elements_and_without_axes_are_read(tmp_path: Path) -> None:
    path = save({"none": torch.ones(0, 5), "one": torch.tensor(3.5)}, tmp_path / "a.pth")
    none, one = read_archive(path)
    assert (none.shape, none.nbytes, len(read_tensor(none))) == ((0, 5), 0, 0)
    assert (one.shape, read_tensor(one).tobytes()) == ((), raw(torch.tensor([3.5])))


def views() -> st.SearchStrategy[torch.Tensor]:
    """Permuted, cut and stepped views of a small storage: everything but expanded ones."""

    @st.composite
    def draw_view(draw: st.DrawFn) -> torch.Tensor:
        shape = draw(st.lists(st.integers(1, 5), min_size=1, max_size=4))
        count = 1
        for size in shape:
            count *= size
        view = torch.arange(count, dtype=torch.float32).reshape(shape)
        view = view.permute(draw(st.permutations(range(len(shape)))))
        for axis in range(view.dim()):
            start = draw(st.integers(0, view.shape[axis] - 1))
            step = draw(st.integers(1, 2))
            index = [slice(None)] * view.dim()
            index[axis] = slice(start, None, step)
            view = view[tuple(index)]
        return view

    return draw_view()


@settings(max_examples=150, deadline=None)
@given(view=views(), limit=st.integers(4, 64))
def test_any_view_is_read_row_by_row_in_pieces_of_any_size(
    tmp_path_factory: pytest.TempPathFactory, view: torch.Tensor, limit: int
) -> None:
    path = save({"view": view}, tmp_path_factory.mktemp("view") / "a.pth")
    (tensor,) = read_archive(path)
    assert read_tensor(tensor).tobytes() == raw(view)
    cut = list(pieces(tensor, limit))
    assert sum(piece.nbytes for piece in cut) == tensor.nbytes
    assert max(piece.nbytes for piece in cut) <= limit


def test_a_narrowed_tensor_is_the_slice_and_cannot_leave_its_bounds(tmp_path: Path) -> None:
    whole = torch.randn(6, 8)
    (tensor,) = read_archive(save({"w": whole}, tmp_path / "a.pth"))
    part = tensor.narrow(0, 2, 3).narrow(1, 5, 3)
    assert read_tensor(part).tobytes() == raw(whole[2:5, 5:8])
    with pytest.raises(Exception, match="cannot be cut"):
        tensor.narrow(1, 6, 3)


def test_the_old_format_is_refused_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "old.bin"
    torch.save({"w": torch.ones(2)}, path, _use_new_zipfile_serialization=False)
    with pytest.raises(ArchiveError, match=r"old format.*torch\.save\(torch\.load"):
        read_archive(path)


def test_a_big_endian_archive_is_refused(tmp_path: Path) -> None:
    path = save({"w": torch.ones(2)}, tmp_path / "a.pth")
    data = path.read_bytes().replace(b"little", b"big   ")
    path.write_bytes(data)
    with pytest.raises(ArchiveError, match="not little-endian"):
        read_archive(path)


def test_folders_of_the_archive_that_hold_nothing_are_read_past(tmp_path: Path) -> None:
    """As a zip program writes them where it packs an unpacked archive again; torch reads it."""
    plain, packed = save({"a": torch.arange(3.0)}, tmp_path / "a.pth"), tmp_path / "b.pth"
    with zipfile.ZipFile(plain) as old, zipfile.ZipFile(packed, "w") as new:
        for folder in ("a/", "a/data/", "a/.data/"):
            new.mkdir(folder)
        for info in old.infolist():
            new.writestr(info.filename, old.read(info))
    (tensor,) = read_archive(packed)
    (wanted,) = torch.load(packed, weights_only=True).values()
    assert read_tensor(tensor).tobytes() == raw(wanted)


def test_an_optimizer_state_is_refused_because_it_is_no_state_dict_of_tensors(
    tmp_path: Path,
) -> None:
    parameter = torch.nn.Parameter(torch.ones(2))
    optimizer = torch.optim.Adam([parameter])
    torch.save({"optimizer": optimizer.state_dict(), "step": 3}, tmp_path / "a.pt")
    with pytest.raises(ArchiveError, match="was refused and not run"):
        read_archive(tmp_path / "a.pt")


def test_reading_an_archive_imports_no_torch(tmp_path: Path) -> None:
    path = save({"w": torch.ones(2)}, tmp_path / "a.pth")
    program = (
        "import sys; from pathlib import Path\n"
        "from wmtp_assets.checkpoints.source import open_source\n"
        "from wmtp_assets.checkpoints import checks, convert, sharded, slicing, verification\n"
        f"assert open_source([Path({str(path)!r})]).tensors['w'].shape == (2,)\n"
        "assert 'torch' not in sys.modules and 'dagster' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
