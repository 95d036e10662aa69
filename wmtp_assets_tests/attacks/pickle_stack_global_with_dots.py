"""Reaches os.system by a dotted attribute of an allowed module, with STACK_GLOBAL."""

from __future__ import annotations

from pathlib import Path

from wmtp_assets_tests.attacks.building import Attack, refused_pickle, state, text, touch


def build(folder: Path) -> Attack:
    name = text("torch._utils") + text("_rebuild_tensor_v2.__globals__.sys.modules.os.system")
    call = name + b"\x93(" + text(touch(folder)) + b"tR"
    return refused_pickle(folder, state({"weight": call}), "'torch._utils'")
