"""Licences: what an SPDX expression is, what words become, and under which terms a slice is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from wmtp_assets.catalog import load_catalog
from wmtp_assets.catalog.artifacts import artifacts_of
from wmtp_assets.catalog.licences import (
    KNOWN,
    every_terms,
    link_of,
    noncommercial,
    terms_of,
    words_of,
)
from wmtp_assets.catalog.reader import CatalogError
from wmtp_assets.catalog.spdx import combined, expression
from wmtp_assets.catalog.upstream_entries import Upstream
from wmtp_assets.cli import main

META = "LicenseRef-Meta-MTP-Research"


def upstream(licence: str, **further: Any) -> Upstream:
    return Upstream(repository="org/name", revision="main", licence=licence, **further)


@pytest.mark.parametrize(
    ("text", "written", "licences"),
    [
        ("MIT", "MIT", ("MIT",)),
        ("apache-2.0", "Apache-2.0", ("Apache-2.0",)),
        ("MIT AND CC-BY-4.0", "MIT AND CC-BY-4.0", ("MIT", "CC-BY-4.0")),
        ("(MIT OR ISC) AND ISC", "(MIT OR ISC) AND ISC", ("MIT", "ISC")),
        (f"Apache-2.0 AND {META}", f"Apache-2.0 AND {META}", ("Apache-2.0", META)),
        (
            "GPL-2.0-only WITH Classpath-exception-2.0",
            "GPL-2.0-only WITH Classpath-exception-2.0",
            ("GPL-2.0-only", "Classpath-exception-2.0"),
        ),
        ("EUPL-1.2", "EUPL-1.2", ("EUPL-1.2",)),
    ],
)
def test_an_expression_is_known(text: str, written: str, licences: tuple[str, ...]) -> None:
    known = expression(text)
    assert known is not None
    assert (known.text, known.licences) == (written, licences)


@pytest.mark.parametrize(
    "text",
    [
        *("own licence", "llama3", "other", "MIT or GPL", "MIT MIT", "MIT AND", "AND", "()", " "),
        *("Apache-2.0, but", "LicenseRef-", "MIT\nMIT", "(MIT", "MIT)", "LicenseRef-a b"),
        *("generated sample, no licence of the real repository", "MIT AND " * 100 + "MIT"),
    ],
)
def test_words_are_no_expression(text: str) -> None:
    assert expression(text) is None
    assert "SPDX identifier" in words_of(upstream(text))


def test_combined_terms_name_each_licence_once() -> None:
    assert combined(["MIT", "MIT"]) == "MIT"
    assert combined(["MIT OR ISC", META, "MIT OR ISC"]) == f"(MIT OR ISC) AND {META}"
    assert combined(["MIT", "own licence"]) is None


def test_what_to_write_in_the_place_of_words_is_accepted() -> None:
    assert "`licence: Apache-2.0` if that is it" in words_of(upstream("Apache 2.0"))
    assert words_of(upstream("apache-2.0")) == "SPDX spells it `licence: Apache-2.0`"
    assert words_of(upstream("Apache-2.0")) == ""
    link = "https://example.org/licence"
    own = upstream("LicenseRef-mine", licence_name="Mine", licence_link=link)
    assert words_of(own) == ""
    assert link_of(own) == link


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"licence": META}, "say in licence_name what it is"),
        ({"licence": META, "licence_name": "Meta's"}, "say in licence_link where it is"),
        ({"licence": "MIT", "licence_name": "MIT"}, "explain a licence that is called LicenseRef-"),
        ({"licence": "own", "licence_link": "https://a.example"}, "which 'own' is not"),
        ({"licence": "LicenseRef-a AND LicenseRef-b"}, "name one licence of your own"),
        *(
            ({"licence": META, "licence_name": "x", "licence_link": link}, "pattern")
            for link in (
                *("http://a.example", "javascript:alert(1)", "https://a.example/)](b"),
                *("https://a.example/ b", "https://a.example\n", "https://a", "a.example"),
            )
        ),
    ],
)
def test_a_licence_of_ones_own_needs_a_name_and_a_link(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said.replace("(", r"\(")):
        upstream(**fields)


def test_the_mistake_is_named_by_file_and_line(tmp_path: Path) -> None:
    catalog = yaml.safe_load(
        (Path(__file__).parents[2] / "wmtp_assets/catalog/full.yaml").read_text()
    )
    del catalog["models"]["meta-llama-mtp"]["upstream"]["licence_link"]
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(catalog, sort_keys=False))
    with pytest.raises(CatalogError, match=r"mine.yaml:\d+ models.meta-llama-mtp.upstream: .*link"):
        load_catalog(path)


def test_a_slice_is_under_its_base_s_terms_and_its_tokenizer_s() -> None:
    catalog = load_catalog("full")
    terms = terms_of(catalog, "micro-ref")
    assert terms.licence == f"Apache-2.0 AND {META}"
    weights, tokenizer = terms.parts
    assert (weights.what, weights.repository) == ("weights", "princeton-nlp/Sheared-LLaMA-2.7B")
    assert (weights.gated, weights.noncommercial) == (False, False)
    assert (tokenizer.what, tokenizer.repository) == (
        "tokenizer",
        "facebook/multi-token-prediction",
    )
    assert (tokenizer.gated, tokenizer.noncommercial) == (True, True)
    assert terms_of(catalog, "micro-mtp").licence == META
    # Rows are counted with the tokenizer, and hold nothing of it.
    assert terms_of(catalog, "mbpp").licence == "CC-BY-4.0"


def test_every_asset_of_a_catalog_is_under_somebody_s_terms() -> None:
    for name in ("sample", "full"):
        catalog = load_catalog(name)
        every = artifacts_of(catalog)
        held = {
            one
            for terms in every_terms(catalog, every.values())
            for part in terms.parts
            for one in part.artifacts
        }
        assert held == set(every)


def test_files_on_leaks_are_under_the_terms_of_what_they_quote() -> None:
    catalog = load_catalog("full")
    every = {one.owner: one for one in every_terms(catalog, artifacts_of(catalog).values())}
    quoted = [one for one in every["codecontests"].parts if one.what == "excerpts"]
    assert [(one.repository, one.licence, one.artifacts) for one in quoted] == [
        ("google-research-datasets/mbpp", "CC-BY-4.0", ("datasets/codecontests_train_leaks",)),
        ("openai/openai_humaneval", "MIT", ("datasets/codecontests_train_leaks",)),
    ]
    assert every["codecontests"].licence == "CC-BY-4.0 AND MIT"
    assert terms_of(catalog, "codecontests").licence == "CC-BY-4.0", "of the rows"
    assert every["humaneval"].licence == "MIT"


def test_noncommercial_use_is_never_guessed() -> None:
    assert noncommercial(upstream("MIT")) is False
    assert noncommercial(upstream("CC-BY-NC-4.0")) is True
    assert noncommercial(upstream("own")) is None
    assert noncommercial(upstream("EUPL-1.2")) is None
    assert noncommercial(upstream("own", noncommercial=True)) is True
    assert all(expression(one) is not None for one in KNOWN)


def test_the_command_shows_it_all(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("WMTP_STORAGE", str(tmp_path / "storage"))
    monkeypatch.setenv("WMTP_CATALOG", "full")
    assert main(["licences"]) == 0
    said = capsys.readouterr().out
    assert f"micro-ref: Apache-2.0 AND {META}" in said
    assert "Noncommercial use only. Gated: to be accepted" in " ".join(said.split())
    assert "in words" not in said
    assert max(map(len, said.splitlines())) <= 100
    assert main(["licences", "--json"]) == 0
    value = json.loads(capsys.readouterr().out)
    assert value["write_instead"] == {}
    (micro,) = (one for one in value["terms"] if one["name"] == "micro-ref")
    assert micro["licence"] == f"Apache-2.0 AND {META}"
    assert "models/micro-ref" in micro["parts"][0]["artifacts"]
    assert micro["parts"][1]["artifacts"] == ["models/tokenizer_raw", "models/tokenizer"]
    assert not (tmp_path / "storage").exists()


def test_the_command_says_what_to_write_for_words_and_that_a_sample_is_none(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["licences"]) == 0
    assert capsys.readouterr().out.startswith("Generated sample: nothing of the real")
    path = tmp_path / "mine.yaml"
    full = (Path(__file__).parents[2] / "wmtp_assets/catalog/full.yaml").read_text()
    path.write_text(full.replace("licence: MIT", "licence: The MIT licence"))
    monkeypatch.setenv("WMTP_CATALOG", str(path))
    assert main(["licences"]) == 0
    assert "  humaneval: write an SPDX identifier" in capsys.readouterr().out
