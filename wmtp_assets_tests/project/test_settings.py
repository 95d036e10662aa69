"""The environment's paths are absolute from the moment they are read."""

from __future__ import annotations

from pathlib import Path

import pytest

from wmtp_assets.artifacts.settings import Settings, SettingsError


def test_relative_paths_are_taken_from_where_the_user_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    given = {"WMTP_CATALOG": "my.yaml", "WMTP_STORAGE": "st", "WMTP_HUB": "../mirror"}
    settings = Settings.from_environment(given)
    monkeypatch.chdir("/")
    assert settings.catalog == str(tmp_path / "my.yaml")
    assert settings.storage == tmp_path / "st"
    assert settings.hub == str(tmp_path / "../mirror")
    assert Settings.from_environment(settings.environment()) == settings


def test_defaults_are_absolute_too_and_shipped_catalogs_are_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "full").write_text("no catalog", encoding="utf-8")
    settings = Settings.from_environment({"WMTP_CATALOG": "full", "WMTP_STORAGE": ""})
    assert settings == Settings("full", tmp_path / "storage", None)


def test_a_tilde_is_the_users_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    given = dict.fromkeys(("WMTP_CATALOG", "WMTP_STORAGE", "WMTP_HUB"), "~/mine")
    settings = Settings.from_environment(given)
    assert settings == Settings(
        "/home/somebody/mine", Path("/home/somebody/mine"), settings.catalog
    )


@pytest.mark.parametrize("name", ["WMTP_CATALOG", "WMTP_STORAGE", "WMTP_HUB"])
@pytest.mark.parametrize(
    "value", [
        "~nobody-of-that-name/x", "a\0b", "https://example.org/hub", "/data/caf\udce9",
        "/data\n/wmtp", "a\rb", "a\tb", "a\x1b[2Jb", "a\x85b", "a\u2028b", "a\x7fb",
        f"/data/{'x' * 256}", f"/data/{'x' * 300}/y", "/data" + "/x" * 1600,
    ],
)  # fmt: skip
def test_what_is_no_path_is_refused_by_the_variables_name(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name) as refused:
        Settings.from_environment({name: value})
    assert refused.value.hint
    str(refused.value).encode()
    assert str(refused.value).isprintable()


@pytest.mark.parametrize("value", ["/data/my models", "/데이터", f"/data/{'x' * 255}", "/x" * 1500])
def test_what_is_odd_and_still_a_path_is_taken(value: str) -> None:
    assert Settings.from_environment({"WMTP_STORAGE": value}).storage == Path(value)
