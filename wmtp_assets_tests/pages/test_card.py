"""The cards: every asset has one, its code and commands work, and text of others stays text."""

from __future__ import annotations

import json
import re
import shlex
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import torch
import yaml
from markdown_it import MarkdownIt
from markdown_it.token import Token

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.gate import Verdict
from wmtp_assets.artifacts.staleness import with_ancestors
from wmtp_assets.catalog import Catalog, load_catalog
from wmtp_assets.catalog.artifacts import Artifact, Kind, artifacts_of
from wmtp_assets.catalog.identity import identify
from wmtp_assets.catalog.licences import KNOWN, UNKNOWN, redistribution
from wmtp_assets.checkpoints.layouts import layout_named
from wmtp_assets.cli import _parser
from wmtp_assets.cli.report import verdict_text
from wmtp_assets.definitions import build_defs
from wmtp_assets.pages.card import SAMPLE, card_of, gate_card, ready_card
from wmtp_assets.pages.text import as_code, as_markdown
from wmtp_assets.sample import sample_revision
from wmtp_assets_tests.worlds import both_generations

MOST = 1100  # characters; Dagster folds a description of more than 260 pixels
LINES = 14  # as a page of 1280 pixels shows them
WIDTH = 105  # characters of a line there
PARTS = ("From", "Licence", "If red", "Full size")
COMMIT = re.compile(r"\b[0-9a-f]{12,40}\b")


@pytest.fixture(scope="module", params=["sample", "full"])
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def described(name: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What Dagster knows of every asset of a shipped catalog, by its key."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)
        defs = build_defs(load_catalog(name), None, tmp_path_factory.mktemp(name))
        graph = defs.resolve_asset_graph()
    return {key.to_user_string(): graph.get(key) for key in graph.get_all_asset_keys()}


def tokens_of(markdown: str) -> list[Token]:
    """The blocks of a Markdown text, and what is in them."""
    blocks = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(markdown)
    return [*blocks, *(child for block in blocks for child in block.children or ())]


def seen(markdown: str) -> str:
    """What a reader of the page sees of it."""
    return "".join(
        token.content
        for token in tokens_of(markdown)
        if token.type in ("text", "code_inline", "text_special")
    )


def commands_in(markdown: str) -> list[str]:
    """The commands among its code spans."""
    spans = (token.content for token in tokens_of(markdown) if token.type == "code_inline")
    return [span for span in spans if re.match(r"(WMTP_\w+=\S+ )*wmtp ", span)]


def height(markdown: str) -> int:
    """About how many lines a card has on a page of 1280 pixels."""
    lines = (re.sub(r"\]\([^)]*\)|[`*\[\\]", "", line) for line in markdown.splitlines())
    return sum(-(-len(line) // WIDTH) for line in lines)


def test_every_asset_has_a_card_with_all_parts(described: dict[str, Any], name: str) -> None:
    project = Project(load_catalog(name), Path("/nowhere"))
    assert len(described) > 60
    for asset, node in described.items():
        card = node.description
        lines = dict(re.findall(r"^- \*\*([^*]+):\*\* (.+)$", card, re.MULTILINE))
        if asset in project.artifacts:
            assert set(PARTS) <= lines.keys(), asset
            assert "```python\n" in card, asset
        assert "If red" in lines, asset
        assert commands_in(lines["If red"]), asset
        assert len(card) <= MOST, (asset, len(card))
        assert height(card) <= LINES, (asset, height(card))
        assert "/nowhere" not in card
        assert str(Path.home()) not in card
        texts = [one.content for one in tokens_of(card) if one.type in ("text", "text_special")]
        assert not re.search(r"[`*]", "".join(texts)), (asset, "markup that is shown as such")
        (block,) = re.findall(r"```python\n(.*?)\n```", card, re.DOTALL) or [""]
        assert len(block.splitlines()) <= 3, asset


def test_the_sample_says_so_and_names_no_commit_and_no_real_licence(
    described: dict[str, Any], name: str
) -> None:
    for asset, node in described.items():
        is_sample = name == "sample"
        assert node.description.startswith(SAMPLE) is is_sample, asset
        assert (node.tags.get("wmtp/data") == "sample") is is_sample, asset
        if is_sample:
            assert not COMMIT.search(node.description), asset
            assert "huggingface.co" not in node.description, asset
            assert not any(licence in node.description for licence in KNOWN), asset
            assert not any("hf://" in str(value) for value in node.metadata.values()), asset


def test_a_pinned_repository_is_linked_at_its_commit(tmp_path: Path) -> None:
    catalog = load_catalog("full")
    project = Project(catalog, tmp_path)
    for artifact in project.artifacts.values():
        upstream = catalog.upstream_of(artifact.owner)
        card = card_of(project, artifact).markdown()
        folder = "datasets/" if artifact.owner in catalog.datasets else ""
        page = f"https://huggingface.co/{folder}{upstream.repository}/tree/{upstream.revision}"
        assert (f"]({page})" in card) is upstream.pinned, artifact.name
        assert ("gated" in card) is upstream.gated, artifact.name
    raw = project.artifacts["datasets/mbpp_test_raw"]
    mirrored = card_of(Project(catalog, tmp_path, "/a/mirror"), raw).markdown()
    assert "huggingface.co" not in mirrored
    assert "/a/mirror" not in mirrored
    assert "by the mirror that `WMTP_HUB` names" in mirrored


def test_the_sample_of_todays_generation_says_how_it_is_had_at_full_size(tmp_path: Path) -> None:
    """As the first phase's does, and with what the copied catalog must say besides."""
    both = Project(both_generations(), tmp_path)
    shipped = load_catalog("full")
    steps = "after steps 2 to 4 of the README's five"
    for name, artifact in both.artifacts.items():
        card = card_of(both, artifact)
        (said,) = (text for word, text in card.lines if word == "Full size")
        if artifact.is_sharded:
            assert "a catalog of your own can" in said, "it wants `shard_bytes`"
            continue
        added = "contract: [phase1, current]" in said
        assert added is (name not in artifacts_of(shipped)), name
        assert f"wmtp materialize {name}`" in said
        if added:
            assert (
                f"{steps} with `contract: [phase1, current]` in it, `WMTP_CATALOG=my.yaml" in said
            )
    asked = shipped.model_copy(update={"contract": both.catalog.contract})
    assert set(both.artifacts) - set(artifacts_of(Catalog.model_validate(asked.model_dump()))) == {
        name for name, artifact in both.artifacts.items() if artifact.is_sharded
    }
    for card in (gate_card(both), ready_card(both, "mbpp")):
        assert "with `contract: [phase1, current]` in it" in dict(card.lines)["Full size"]


def test_what_one_generation_alone_finds_says_so(project: Project, tmp_path: Path) -> None:
    """Two splits of one name would have the same first line otherwise."""
    both = Project(both_generations(), tmp_path)
    said = {name: card_of(both, one).what for name, one in both.artifacts.items()}
    assert "For the first phase's training code." in said["datasets/mbpp_train"]
    assert "For today's training code." in said["datasets/mbpp_train_current"]
    assert "training code." not in said["datasets/humaneval_test"], "the same for both"
    assert "training code." not in card_of(project, project.artifacts["datasets/mbpp_train"]).what


def test_redistribution_is_never_guessed() -> None:
    upstream = load_catalog("full").upstreams()["mbpp"]
    assert redistribution(upstream).startswith("allowed, with credit")
    for licence in ("Apache-2.0, but", "apache-2.0 ", "other", "MIT or GPL"):
        assert redistribution(upstream.model_copy(update={"licence": licence})) == UNKNOWN
    own = upstream.model_copy(update={"redistribution": "not allowed"})
    assert redistribution(own) == "not allowed"
    said = {n: redistribution(u) for n, u in load_catalog("full").upstreams().items()}
    assert {n for n, words in said.items() if words == UNKNOWN} == {
        "meta-llama-mtp",
        "starling-rm-7b",
    }


def one_of_each_kind(project: Project) -> Iterator[Artifact]:
    """One artifact of each kind, and of each network and each format of rows."""
    known = set()
    for artifact in project.artifacts.values():
        model = project.catalog.models.get(artifact.owner)
        layout = getattr(model, "layout", "")
        dataset = project.catalog.datasets.get(artifact.owner)
        of_model = layout_named(layout).network if layout and artifact.is_checkpoint else ""
        what = (artifact.kind, of_model, dataset.layout if dataset else "")
        if what not in known:
            known.add(what)
            yield artifact


def test_the_lines_that_load_an_asset_load_it(
    project: Project, current_project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    every = [(project, artifact) for artifact in one_of_each_kind(project)]
    kinds = {artifact.kind for _, artifact in every}
    of_current = one_of_each_kind(current_project)
    every += [(current_project, one) for one in of_current if one.kind not in kinds]
    for made, artifact in every:
        monkeypatch.chdir(made.storage.parent)
        given: dict[str, Any] = {"tokens": torch.tensor([[1, 15, 20, 7]])}
        code = card_of(made, artifact).code
        exec(compile(code, artifact.name, "exec"), given)  # noqa: S102 - our own card
        loaded = list(given)[-1]  # what the last line assigns
        assert given[loaded] is not None, artifact.name
        if loaded == "files":
            assert {file.is_file() for file in given["files"].values()} == {True}, artifact.name
        if loaded in ("document", "easy", "row", "names", "problem", "files", "found"):
            assert len(given[loaded]) > 0, artifact.name
        kinds.add(artifact.kind)
    assert set(Kind) - kinds == {Kind.PACKAGE_FILE}  # of datasets that the sample does not have


def test_the_gates_card_loads_its_report(
    sample: Path, described: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(sample)
    given: dict[str, Any] = {}
    (code,) = re.findall(
        r"```python\n(.*?)\n```", described["phase2_readiness"].description, re.DOTALL
    )
    exec(compile(code, "card", "exec"), given)  # noqa: S102 - our own card
    assert given["document"]["open"] is True


def test_every_command_of_a_card_is_one_and_names_what_its_catalog_has(
    described: dict[str, Any], name: str
) -> None:
    shown, full = (Project(load_catalog(one), Path()) for one in (name, "full"))
    used = set()
    for node in described.values():
        for command in commands_in(node.description):
            words = shlex.split(command)
            at = words.index("wmtp")
            chosen = dict(word.split("=", 1) for word in words[:at]).get("WMTP_CATALOG")
            project = shown if chosen is None else full
            given = _parser().parse_args(words[at + 1 :])
            selection = getattr(given, "selection", None)
            assert selection is None or selection in project.artifacts, command
            if chosen == "full":  # as it is shipped: nothing of it is gated or a branch
                names = with_ancestors(project, [selection or ""])
                upstreams = [
                    full.catalog.upstream_of(project.artifacts[one].owner) for one in names
                ]
                assert all(one.pinned and not one.gated for one in upstreams), command
            used.add(words[at + 1])
    assert used >= {"materialize", "doctor", "gate", "report"}


HOSTILE = (
    "<img src=x onerror=alert(1)> ![i](https://evil.example/i.png) [l](javascript:alert(1)) "
    "`code` ``two`` **bold** _it_ ~~s~~ <script>alert(1)</script> https://evil.example "
    "www.evil.example a@evil.example &lt; | a | \\ \u202egnp\u202c"
)


def hostile_catalog(tmp_path: Path) -> Catalog:
    """The sample's catalog with hostile words wherever it takes any."""
    document = yaml.safe_load(
        (Path(__file__).parents[2] / "wmtp_assets/catalog/sample.yaml").read_text()
    )
    for entry in [*document["models"].values(), *document["datasets"].values()]:
        if "upstream" in entry:
            words = {"licence": f"{HOSTILE}\n\n# A heading\n", "redistribution": f"1. {HOSTILE}"}
            entry["upstream"] |= words
    for model in document["models"].values():
        model["target_device"] = HOSTILE
    document["hub"] = "huggingface"
    for entry in [*document["models"].values(), *document["datasets"].values()]:
        if "upstream" in entry:
            entry["upstream"]["revision"] = "_a_"
    path = tmp_path / "hostile.yaml"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return load_catalog(path)


def test_the_words_of_a_catalog_stay_text(tmp_path: Path) -> None:
    project = Project(hostile_catalog(tmp_path), tmp_path)
    ours = {"paragraph_open", "bullet_list_open", "list_item_open", "strong_open", "link_open"}
    ours |= {"fence", "inline"}
    for artifact in project.artifacts.values():
        markdown = card_of(project, artifact).markdown()
        tokens = tokens_of(markdown)
        opened = {token.type for token in tokens if token.nesting >= 0}
        assert opened <= ours | {"text", "text_special", "code_inline", "softbreak"}, artifact.name
        for token in tokens:
            if token.type == "link_open":
                assert str(token.attrs["href"]).startswith(("/assets/", "/rows/")), artifact.name
        strong = sum(token.type == "strong_open" for token in tokens)
        assert strong == len(re.findall(r"^- \*\*", markdown, re.MULTILINE)), artifact.name
        assert "<img src=x onerror=alert(1)>" in seen(markdown)
        assert "\u202e" not in markdown
        assert len(markdown) < 2 * MOST


@pytest.mark.parametrize("text", ["plain", "`", "a``b`", "`a", "<b>", "x\ny", "\\`", " a "])
def test_a_code_span_shows_its_text(text: str) -> None:
    (span,) = [t.content for t in tokens_of(f"x {as_code(text)} y") if t.type == "code_inline"]
    assert span == " ".join(text.split())


def test_bare_addresses_do_not_become_links() -> None:
    said = as_markdown("https://evil.example www.evil.example a@b.example")
    assert not re.search(r"https?:|www\.|\w@\w", said.replace("\\", ""))


def test_the_samples_catalog_names_the_samples_revision() -> None:
    revisions = {upstream.revision for upstream in load_catalog("sample").upstreams().values()}
    assert revisions == {sample_revision()}


def test_what_is_made_of_the_sample_says_so_in_its_documents(project: Project) -> None:
    for model in project.catalog.models:
        path = project.storage / "models_v2" / model / "metadata.json"
        document = json.loads(path.read_bytes())
        assert document["sample"] is True, model
        assert document.get("revision", sample_revision()) == sample_revision(), model
        assert "no licence of the real" in document.get("licence", "no licence of the real"), model
    cards = list(project.storage.glob("datasets_*/*/**/README.md"))
    assert len(cards) == 4 + 3 + 3, "of folders of rows, of datasets and of what is known of rows"
    assert all(SAMPLE in card.read_text(encoding="utf-8") for card in cards)


def test_a_storage_with_the_sample_of_an_earlier_version_is_made_again(project: Project) -> None:
    earlier = {"revision": "5e4e1fbfc4b2f97ab842864c1b04b77d11451b31", "licence": "made for it"}
    catalog = project.catalog.model_dump()
    for entry in [*catalog["models"].values(), *catalog["datasets"].values()]:
        if "upstream" in entry:
            entry["upstream"] |= earlier
    catalog["hub"] = "huggingface"  # as of one that marks nothing as the sample
    before = artifacts_of(Catalog.model_validate(catalog))
    stale = {
        name
        for name, artifact in project.artifacts.items()
        if artifact.settings_digest != before[name].settings_digest
    }
    of_origin = ("_raw", "_schema", "_card")
    assert stale == {name for name in project.artifacts if name.endswith(of_origin)} | {
        f"models/{model}_metadata" for model in project.catalog.models
    }


def test_the_gates_verdict_says_that_it_is_of_the_sample(project: Project) -> None:
    verdict = Verdict.from_json(json.loads(project.report.read_bytes()))
    assert verdict.catalog.sample
    assert "generated sample, not the real data" in verdict_text(verdict)
    assert not identify(load_catalog("full")).sample
    assert "sample" not in str(identify(load_catalog("full")))
