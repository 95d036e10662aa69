"""The report: its numbers are those of the files, it opens without any request, and it is true."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from safetensors import safe_open

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.gate import evaluate
from wmtp_assets.artifacts.gate import write_report as write_verdict
from wmtp_assets.catalog import load_catalog
from wmtp_assets.cli import main
from wmtp_assets.corpora.writer import SplitWriter
from wmtp_assets.errors import WmtpError
from wmtp_assets.pages import report as report_module
from wmtp_assets.pages.asset import asset_facts
from wmtp_assets.pages.card import card_of
from wmtp_assets.pages.facts import ReportFacts, facts_of
from wmtp_assets.pages.language import LANGUAGES, Language
from wmtp_assets.pages.report import (
    keep_reports_true,
    report_page,
    served_report,
    write_report,
)
from wmtp_assets_tests.artifacts.resealing import reseal
from wmtp_assets_tests.pages.reading import Read, check_harmless

MOST_BYTES = 1_500_000


@pytest.fixture(scope="module")
def facts(project: Project) -> ReportFacts:
    """What the report says of the sample."""
    return facts_of(project)


@pytest.fixture(scope="module", params=LANGUAGES)
def language(request: pytest.FixtureRequest) -> Language:
    found: Language = request.param
    return found


@pytest.fixture(scope="module")
def page(facts: ReportFacts, language: Language) -> Read:
    """The report of the sample, as a file, in each language."""
    html = report_page(facts, language)
    assert len(html.encode()) < MOST_BYTES
    assert f'<html lang="{language}">' in html
    return check_harmless(html)


def lines_of(project: Project, dataset: str, split: str) -> list[dict[str, Any]]:
    path = project.storage / "datasets_v2" / dataset / "processed" / f"{split}.jsonl"
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def test_numbers_of_models_are_those_of_the_files(
    project: Project, facts: ReportFacts, page: Read
) -> None:
    for model in facts.models:
        path = project.storage / "models_v2" / model.name / "safetensors" / "model.safetensors"
        bytes_by_dtype: dict[str, int] = {}
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        for tensor in tensors.values():
            dtype = str(tensor.dtype).removeprefix("torch.")
            bytes_by_dtype[dtype] = bytes_by_dtype.get(dtype, 0) + tensor.nbytes
        assert dict(model.after) == bytes_by_dtype
        assert model.parameters == sum(tensor.numel() for tensor in tensors.values())
        assert model.tensors == len(tensors)
        assert f"{model.parameters:,} ({len(tensors)}" in page.words
        sizes = sorted((tensor.nbytes for tensor in tensors.values()), reverse=True)
        assert [one.size for one in model.largest] == sizes[:5]
        for one in model.largest:
            tensor = tensors[one.name]
            assert one.values == (tensor.min().item(), tensor.max().item())
            assert f"{tensor.min().item():.6g} … {tensor.max().item():.6g}" in page.words


def test_casts_are_those_of_the_certificates(facts: ReportFacts, project: Project) -> None:
    for model in facts.models:
        path = project.storage / "models_v2" / model.name / "certificate.json"
        certificate = json.loads(path.read_bytes())
        errors = {one["name"]: one["max_cast_error"] for one in certificate["tensors"]}
        assert model.cast_error == max(errors.values())
        assert errors[model.cast_error_in] == model.cast_error
        assert sum(model.dropped.values()) == len(certificate["dropped"])
        source = {one["source_dtype"] for one in certificate["tensors"]}
        assert set(model.before) == source
    by_name = {model.name: model for model in facts.models}
    assert by_name["meta-llama-mtp"].before.keys() == {"float32"}
    assert by_name["micro-ref"].cast_error == 0


def test_numbers_of_splits_are_those_of_the_rows(
    project: Project, facts: ReportFacts, page: Read
) -> None:
    for dataset in facts.datasets:
        for split in dataset.splits:
            rows = lines_of(project, dataset.name, split.of.split)
            assert split.rows == len(rows)
            assert f"{len(rows):,}" in page.words
            if dataset.classed:
                right = sum(row["is_correct"] for row in rows)
                assert split.facets is not None
                assert split.facets.classes == {1: right, 0: len(rows) - right}
                assert f"{right:,}" in page.words
            for line in split.lines:
                assert line.row == rows[line.number]
            assert len(split.lines) == min(5, len(rows))
            gone = report_module.dropped(split.funnel)
            assert split.funnel["candidates"] - sum(gone.values()) == split.funnel["kept"]
            assert split.funnel["kept"] == len(rows)


def test_rows_that_no_reason_explains_are_not_hidden(facts: ReportFacts) -> None:
    split = facts.datasets[0].splits[0]
    more = dataclasses.replace(split, funnel={**split.funnel, "candidates": 500})
    assert report_module.dropped(more.funnel)["other_reasons"] == 500 - 407


def test_the_verdict_and_the_sample_are_said(facts: ReportFacts, page: Read) -> None:
    assert facts.verdict is not None
    assert facts.verdict.catalog.digest[:12] in page.words
    assert facts.verdict.evaluated_at[:10] in page.words
    assert page.classes.get("good")
    assert page.classes.get("sample") == 1
    for condition in facts.verdict.conditions:
        assert condition.title in page.words
    assert not facts.newer


def test_a_file_links_to_itself_only_and_names_no_machine(
    project: Project, page: Read, facts: ReportFacts
) -> None:
    assert {address[0] for address in page.addresses} == {"#", "d"}
    assert str(project.storage) not in page.words
    targets = [address for address in page.addresses if address.startswith("#")]
    html = report_page(facts, "en")
    assert all(f'id="{target[1:]}"' in html for target in targets)


def test_served_it_leads_to_rows_assets_and_the_other_language(project: Project) -> None:
    answer = served_report(project, "")
    found = check_harmless(answer.html)
    for wanted in (
        *("/rows", "/report?lang=ko", "/rows/codecontests/train", "/assets/models/micro-mtp"),
        *("/assets/datasets/codecontests_train", "/rows/codecontests/train?difficulty=7"),
        "/rows/humaneval/test/0",
    ):
        assert wanted in found.addresses, wanted
    assert 'lang="ko"' in served_report(project, "lang=ko").html
    for asked in ("lang=fr", "x=1", "lang=en&lang=ko", "lang"):
        assert served_report(project, asked).status == 400
        check_harmless(served_report(project, asked).html)


def test_where_nothing_was_made_it_says_what_to_do(tmp_path: Path, language: Language) -> None:
    project = Project(load_catalog("sample"), tmp_path / "storage")
    found = check_harmless(report_page(facts_of(project), language))
    assert not (tmp_path / "storage").exists()
    assert "wmtp gate" in found.words
    for artifact in project.artifacts.values():
        if artifact.is_checkpoint:
            assert f"wmtp materialize {artifact.name}" in found.words
    assert not found.classes.get("good")
    assert found.classes["trouble"] == 5 + 7


def test_a_closed_gate_is_closed_with_reasons_and_what_to_do(
    tmp_path: Path, language: Language
) -> None:
    project = Project(load_catalog("sample"), tmp_path / "storage")
    write_verdict(project, evaluate(project))
    found = check_harmless(report_page(facts_of(project), language))
    assert found.classes.get("bad")
    assert "wmtp materialize models/meta-llama-mtp" in found.words
    assert str(tmp_path) not in found.words


def test_a_verdict_that_does_not_fit_is_not_passed_off(facts: ReportFacts) -> None:
    assert facts.verdict is not None
    early = dataclasses.replace(facts.verdict, evaluated_at="2000-01-01T00:00:00+00:00")
    other = dataclasses.replace(
        facts.verdict, catalog=dataclasses.replace(facts.verdict.catalog, digest="0" * 64)
    )
    page = report_page(dataclasses.replace(facts, newer=["models/x"], verdict=early), "en")
    assert "does not cover it: models/x" in page
    assert "another catalog" in report_page(dataclasses.replace(facts, verdict=other), "en")


def test_newer_artifacts_are_found(copied: Project) -> None:
    value = json.loads(copied.report.read_bytes())
    value["evaluated_at"] = "2000-01-01T00:00:00+00:00"
    names = ("artifact", "question", "expected", "file", "hint")
    reason = {**dict.fromkeys(names, "text"), "found": "<script>alert(1)</script>\u202e\0"}
    value["conditions"][-1] |= {"reasons": [reason], "met": False}
    copied.report.write_text(json.dumps(value), encoding="utf-8")
    changed = copied.storage / "models_v2/meta-llama-mtp/certificate.json"
    certificate = copied.store.path("models/meta-llama-mtp") / changed.name
    certificate.chmod(0o644)
    text = certificate.read_text().replace('"nan": 0', '"nan": 1', 1)
    certificate.write_text(text)
    (copied.store.path("models/micro-ref") / "model.safetensors").unlink()
    facts = facts_of(copied)
    required = {one.name for one in copied.artifacts.values() if one.status == "required"}
    assert set(facts.newer) == required
    troubles = {model.name: model.trouble for model in facts.models if model.trouble}
    assert troubles.keys() == {"meta-llama-mtp", "micro-ref"}
    assert "not as its receipt says" in str(troubles["meta-llama-mtp"])
    assert all(isinstance(one, WmtpError) and one.hint for one in troubles.values())
    found = check_harmless(report_page(facts, "en"))
    assert "<script>alert(1)</script>U+202EU+0000" in found.words


def test_a_report_that_says_open_does_not_outlive_a_closed_gate(
    tmp_path: Path, facts: ReportFacts
) -> None:
    project = Project(load_catalog("sample"), tmp_path / "storage")
    verdict = evaluate(project)
    write_verdict(project, verdict)
    keep_reports_true(project, verdict)
    assert [path.name for path in project.storage.glob("*.html")] == [], "none is made"
    written = project.storage / "report.ko.html"
    written.write_text(report_page(facts, "ko"), encoding="utf-8")
    assert facts.verdict is not None
    keep_reports_true(project, facts.verdict)
    assert "열림" in check_harmless(written.read_text("utf-8")).words, "open: left as it is"
    keep_reports_true(project, verdict)
    words = check_harmless(written.read_text("utf-8")).words
    assert "닫힘" in words
    assert "열림" not in words


def test_both_languages_have_the_same_words() -> None:
    folder = Path(report_module.__file__).parent / "words"
    assert {path.stem for path in folder.glob("*.yaml")} == set(LANGUAGES)
    words = {one: yaml.safe_load((folder / f"{one}.yaml").read_text()) for one in LANGUAGES}
    plain = {name for name in words["ko"] if not name.startswith("condition_")}
    assert set(words["en"]) == plain
    for name in plain:
        holes = [sorted(re.findall(r"\{[^}]*\}", words[one][name])) for one in LANGUAGES]
        assert holes[0] == holes[1], name
    for template in ("report.html", "quality.html"):
        text = (folder.parent / "templates" / template).read_text()
        for name in re.findall(r'say\("(\w+)"[,)]', text):
            assert name in words["en"], name


def test_the_command_writes_it(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setenv("WMTP_STORAGE", str(project.storage))
    monkeypatch.delenv("WMTP_CATALOG", raising=False)
    target = tmp_path / "passed on.html"
    assert main(["report", "--lang", "ko", "-o", str(target)]) == 0
    assert str(target) in capsys.readouterr().out
    assert 'lang="ko"' in target.read_text(encoding="utf-8")
    assert main(["report", "-o", str(tmp_path / "none" / "x.html")]) == 2
    said = capsys.readouterr().err
    assert said.startswith("wmtp: ")
    assert len(said.splitlines()) == 1


def test_the_command_gives_the_figures_of_every_split_as_json(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setenv("WMTP_STORAGE", str(project.storage))
    monkeypatch.delenv("WMTP_CATALOG", raising=False)
    assert main(["report", "--json"]) == 0
    splits = {one["asset"]: one for one in json.loads(capsys.readouterr().out)["splits"]}
    assert splits.keys() == {one.name for one in project.artifacts.values() if one.is_split}
    train = splits["datasets/codecontests_train"]
    rows = lines_of(project, "codecontests", "train")
    of_wrong = sum(not row["is_correct"] for row in rows)
    assert train["rows"] == len(rows)
    assert train["funnel"]["steps"]["kept"]["incorrect"] == of_wrong
    assert train["scales"]["lengths"]["incorrect"]["rows"] == of_wrong
    assert train["troubles"] == {}
    monkeypatch.setenv("WMTP_STORAGE", str(tmp_path / "empty"))
    assert main(["report", "--json"]) == 1
    trouble = json.loads(capsys.readouterr().out)["splits"][0]["trouble"]
    assert "wmtp materialize datasets/codecontests_train" in trouble


def test_it_is_not_written_through_a_link_that_leads_out(tmp_path: Path) -> None:
    project = Project(load_catalog("sample"), tmp_path / "storage")
    project.storage.mkdir()
    outside = tmp_path / "outside.html"
    outside.write_text("kept")
    (project.storage / "report.html").symlink_to(outside)
    assert not write_report(project, "en").is_symlink()
    assert outside.read_text() == "kept"


def test_links_of_the_full_catalog_lead_to_pinned_commits(tmp_path: Path) -> None:
    project = Project(load_catalog("full"), tmp_path / "storage")
    found = check_harmless(report_page(facts_of(project), "en"))
    commits = [one for one in found.addresses if one.startswith("https://huggingface.co/")]
    assert len(commits) >= 5
    assert all(re.search("/tree/[0-9a-f]{40}$", one) for one in commits)
    assert not found.classes.get("sample")


def test_it_names_paths_and_rows_of_the_generations_that_are_served(
    current_project: Project,
) -> None:
    both = report_page(facts_of(current_project), "en")
    titles = re.findall(r'<h3 class="split">([^<]+)', both)
    assert len(set(titles)) == len(titles)
    assert "codecontests / train" in titles
    assert "codecontests@current / train" in titles
    catalog = current_project.catalog.model_copy(update={"contract": ("current",)})
    project = Project(catalog, current_project.storage, current_project.hub_spec)
    html = report_page(facts_of(project), "en")
    assert "models_v2" not in html
    named = re.findall(r"storage/(models/[a-z0-9.-]+(?:/hf)?)&#34;", html)
    assert len(set(named)) == len(catalog.models)
    assert all((project.storage / folder).is_dir() for folder in named)
    assert "&#34;codecontests&#34;, &#34;train&#34;, &#34;current&#34;)" in html
    assert "&#34;humaneval&#34;, &#34;test&#34;)" in html
    for asset in ("models/tokenizer", "models/micro-mtp", "datasets/codecontests_train_current"):
        code = card_of(project, project.artifacts[asset]).code
        assert "models/" in code or '"train", "current")' in code
        assert "models_v2" not in code


def test_a_split_of_a_source_without_problems_is_shown(copied: Project, language: Language) -> None:
    def emptied(folder: Path) -> None:
        stats = json.loads((folder / "test_stats.json").read_bytes())
        with SplitWriter(folder, stats["dataset"], stats["split"], "test") as writer:
            writer.finish({name: stats[name] for name in ("max_tokens", "tokenizer_sha256")})

    reseal(copied, "datasets/codecontests_test", emptied)
    facts = facts_of(copied)
    split = facts.datasets[0].splits[-1]
    assert (split.of.split, split.rows, split.trouble) == ("test", 0, None)
    assert (split.funnel, report_module.dropped(split.funnel)) == ({"candidates": 0, "kept": 0}, {})
    check_harmless(report_page(facts, language))
    for name in ("datasets/codecontests_test", "datasets/codecontests_small_test"):
        receipt = copied.store.current(name)
        assert receipt is not None
        assert "not shown" not in asset_facts(copied, receipt)


@pytest.mark.slow
def test_what_it_says_about_loading_works(
    project: Project, facts: ReportFacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    monkeypatch.chdir(project.storage.parent)
    html = report_page(facts, "en")
    snippets = re.findall(r"<pre tabindex=\"0\"><code>(.*?)</code></pre>", html, re.DOTALL)
    assert len(snippets) == len(facts.models) + len(facts.datasets)
    for snippet in snippets:
        code = snippet.replace("&#34;", '"').replace("&#39;", "'").replace("&gt;", ">")
        assert len(code.splitlines()) == 3
        scope: dict[str, Any] = {"tokens": torch.zeros((1, 4), dtype=torch.int64)}
        exec(compile(code, "<report>", "exec"), scope)  # noqa: S102 - our own report's words
        loaded = scope.get("model", scope.get("corpus"))
        assert loaded is not None
