"""What the page says of each asset before any run: its card, in Markdown.

What it is, where it comes from, its licence, what red means and which command helps, how to get it
at full size, and three lines that load it. Short: Dagster folds a description that is higher than
260 pixels. Every word that is not ours is escaped (`text.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.kinds import kind_of
from wmtp_assets.artifacts.loading import LOADING
from wmtp_assets.artifacts.requirements import disk_needed
from wmtp_assets.artifacts.staleness import with_ancestors
from wmtp_assets.artifacts.types import Split
from wmtp_assets.artifacts.upstream_files import UpstreamFiles, commit_page
from wmtp_assets.catalog import Catalog, MicroModel, load_catalog
from wmtp_assets.catalog.artifacts import Artifact, model_artifact, split_artifact
from wmtp_assets.catalog.contract import format_of, layout_of
from wmtp_assets.catalog.licences import link_of, noncommercial, redistribution
from wmtp_assets.catalog.upstream_entries import Upstream
from wmtp_assets.checkpoints.layouts import layout_named
from wmtp_assets.generations import Contract, dataset_folder, model_folder
from wmtp_assets.hub.files import RepoId, is_commit
from wmtp_assets.pages.report import READING, READING_PLAIN
from wmtp_assets.pages.rows import SplitOfRows, rows_of
from wmtp_assets.pages.text import as_code, as_markdown, size

SAMPLE: Final = "**Generated sample, not the real data.**"
FULL: Final = "full"  # the shipped catalog of the real models and datasets
_READERS: Final[Mapping[Contract, str]] = {
    "phase1": "the first phase's training code",
    "current": "today's training code",
}
_WORDS = 160  # characters of a catalog's free text

# What a machine with the storage in its working folder runs, by what an artifact is.
_FETCHED: Final = """\
from pathlib import Path; from wmtp_assets.artifacts.types import fetched
from wmtp_assets.storage.store import Store; store = Store(Path("storage"))
files = fetched(store, "{name}").paths()"""
_DOCUMENT: Final = """\
import json; from pathlib import Path
path = Path("storage/{path}")
document = json.loads(path.read_bytes())"""
_YAML: Final = """\
import yaml; from pathlib import Path
path = Path("storage/{path}")
document = yaml.safe_load(path.read_bytes())"""
_TOKENIZER: Final = """\
from transformers import AutoTokenizer
tokenizer = AutoTokenizer.from_pretrained("storage/{folder}/tokenizer")"""
_SHARDED: Final = """\
from transformers import AutoModelForCausalLM
folder = "storage/{path}"
model = AutoModelForCausalLM.from_pretrained(folder, dtype="auto")"""
_SHARDED_TENSORS: Final = """\
from pathlib import Path; from safetensors import safe_open
shards = sorted(Path("storage/{path}").glob("*.safetensors"))
names = [name for shard in shards for name in safe_open(shard, "pt").keys()]"""
_COLUMN: Final = """\
import wmtp_assets
corpus = wmtp_assets.open_corpus("storage", {asked})
found = corpus.column("{column}")"""
_FOUND_OUT: Final = {
    "_verdicts.parquet": "verdict",
    "_leaks.parquet": "leaked",
    "_duplicates.parquet": "cluster",
}
"""By how a file on quality is called: the column of a corpus that it gives."""
_LINES: Final = """\
import json; from pathlib import Path
lines = Path("storage/{path}").read_bytes().split(b"\\n")
problem = json.loads(lines[0])"""
_TESTS: Final = """\
import wmtp_assets
tests = wmtp_assets.open_tests("storage", "{dataset}", "{split}")
problem = tests[next(iter(tests))]  # reads this one's tests alone"""
_CARD: Final = """\
from huggingface_hub import metadata_load
fields = metadata_load("storage/{path}")"""
_FOLDER: Final = """\
from pathlib import Path
folder = Path("storage/{path}")
files = {{str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}}"""


@dataclass(frozen=True)
class Card:
    """An asset's card: `what` it is, `lines` (a word, and what belongs to it), and `code`.

    All of it is Markdown; what is not ours in it is escaped already.
    """

    what: str
    lines: tuple[tuple[str, str], ...]
    code: str = ""
    sample: bool = False

    def markdown(self) -> str:
        """The card as one text."""
        first = f"{SAMPLE} {self.what}" if self.sample else self.what
        listed = "\n".join(f"- **{word}:** {said}" for word, said in self.lines)
        parts = [first, listed, f"```python\n{self.code}\n```" if self.code else ""]
        return "\n\n".join(part for part in parts if part)


def card_of(project: Project, artifact: Artifact) -> Card:
    """The card of an artifact."""
    catalog, kind = project.catalog, kind_of(artifact)
    upstream = catalog.upstream_of(artifact.owner)
    repo = _repository(catalog, artifact.owner, upstream)
    lines = [
        ("From", _origin(project, repo, upstream)),
        ("Licence", _licence(upstream)),
        ("If red", f"{kind.red}. {_command(f'wmtp materialize {artifact.name} --force')}"),
        ("Full size", _full_size(project, artifact)),
    ]
    what = as_markdown(kind.describe(catalog, artifact)) + _readers(catalog, artifact)
    rows = rows_of(catalog, artifact)
    if rows is not None:  # no line of its own: the pictures come below
        what += f" [Look at the rows]({rows.path})."
    return Card(what, tuple(lines), _loading(catalog, artifact), catalog.is_sample)


def source_card(project: Project, files: UpstreamFiles, upstream: Upstream) -> Card:
    """The card of a repository upstream."""
    taken = [one.name for one in project.artifacts.values() if _takes(one, files.repo)]
    moved = _command(f"wmtp pin {files.repo.name} main") + " in a catalog of your own"
    return Card(
        f"The {files.repo.kind} repository {as_code(files.repo.name)}, observed "
        "without fetching: its pin is compared with its latest commit.",
        (
            ("From", _origin(project, files.repo, upstream)),
            ("Licence", _licence(upstream)),
            ("If red", f"it could not be asked. {_command('wmtp doctor')}"),
            *([] if project.catalog.is_sample else [("If it moved", moved)]),
            ("Its files", _assets(taken)),
        ),
        sample=project.catalog.is_sample,
    )


def doctor_card(project: Project) -> Card:
    """The card of the doctor."""
    return Card(
        "What a run needs, checked before any byte is fetched: disk, memory, "
        "packages, token, access to repositories, licences.",
        (
            (
                "If red",
                f"something is missing; each line says what to do. {_command('wmtp doctor')}",
            ),
            ("Needs", _disk(project.catalog, project.artifacts.values())),
        ),
        sample=project.catalog.is_sample,
    )


def gate_card(project: Project) -> Card:
    """The card of the gate's report."""
    return Card(
        "Whether the next phase may start: every blocking check of every required artifact, "
        "recomputed from the files.",
        (
            (
                "If red",
                "the gate is closed, and names each reason with a command. "
                + _command("wmtp gate"),
            ),
            ("Full size", _whole(project)),
        ),
        _DOCUMENT.format(path="phase2_readiness.json"),
        project.catalog.is_sample,
    )


def ready_card(project: Project, owner: str) -> Card:
    """The card of the asset that says whether a model or dataset is ready."""
    return Card(
        f"Whether every file of {as_code(owner)} exists and passes its blocking checks: one of the "
        "gate's conditions.",
        (
            (
                "If red",
                "its check names the first reason, and the command for each. "
                + _command("wmtp gate"),
            ),
            ("Full size", _whole(project, owner)),
        ),
        sample=project.catalog.is_sample,
    )


def report_card(project: Project, address: str, files: Iterable[str]) -> Card:
    """The card of the report, which is served at `address` and written to `files`."""
    written = ", ".join(as_code(f"storage/{file}") for file in files)
    return Card(
        "The verdict, every model and every dataset as one HTML file to share, in "
        "English and in Korean.",
        (
            ("Look", f"[as it is now]({address}); the files: {written}"),
            ("If red", f"it could not be written. {_command('wmtp report')}"),
        ),
        sample=project.catalog.is_sample,
    )


def _origin(project: Project, repo: RepoId, upstream: Upstream) -> str:
    named, revision = as_code(repo.name), as_code(upstream.revision[:12])
    if project.catalog.is_sample:
        return f"generated in the layout of {named} ({revision}); it has no commit"
    gated = ", gated: accept its licence on its page" if upstream.gated else ""
    if not is_commit(upstream.revision):
        pin = _command(f"wmtp pin {repo.name} {upstream.revision}")
        return f"{named} at {as_code(upstream.revision)}, no commit{gated}; {pin} sets one"
    if project.hub_spec is not None:
        return f"{named} at {revision}, by the mirror that `WMTP_HUB` names{gated}"
    page = commit_page(project.catalog, repo, upstream.revision)
    return f"[{named} at {revision}]({page}){gated}"


def _licence(upstream: Upstream) -> str:
    licence = as_markdown(upstream.licence_name or upstream.licence, _WORDS)
    if link := link_of(upstream):
        licence = f"[{licence}]({link})"
    if noncommercial(upstream):
        licence += ", noncommercial use only"
    return f"{licence}. Redistribution: {as_markdown(redistribution(upstream), _WORDS)}"


def _readers(catalog: Catalog, artifact: Artifact) -> str:
    """For whom an artifact is that only one of several generations of training code finds."""
    folder = dataset_folder if artifact.owner in catalog.datasets else model_folder
    finding = [
        contract
        for contract in catalog.contract
        if any(link.startswith(f"{folder(contract, artifact.owner)}/") for link in artifact.links)
    ]
    return f" For {_READERS[finding[0]]}." if len(finding) == 1 < len(catalog.contract) else ""


def _full_size(project: Project, artifact: Artifact) -> str:
    catalog = project.catalog
    if catalog.is_sample:
        return _real(project, artifact.name)
    model = catalog.models.get(artifact.owner)
    if isinstance(model, MicroModel):
        return _assets([model_artifact(model.slice_of)])
    if artifact.is_of_small_copy and artifact.split is not None:
        whole = split_artifact(artifact.owner, artifact.split, contract=artifact.contract)
        return _assets([whole])
    return f"this is it; {_disk(catalog, _needed(project, artifact.name))}"


def _whole(project: Project, owner: str | None = None) -> str:
    """How all that the gate requires is made at full size, or all of one model or dataset."""
    full = _full(project) if project.catalog.is_sample else project
    wanted = [one.name for one in full.artifacts.values() if owner in (None, one.owner)]
    if not wanted:
        return f"the catalog {as_code(FULL)} has none; a catalog of your own can"
    disk = _disk(full.catalog, (full.artifacts[one] for one in with_ancestors(full, wanted)))
    steps = f"README, “Full size, in five steps”{_with_contract(full)}"
    where = "this is it" if full is project else steps
    return f"{where}; {disk}"


def _real(project: Project, name: str) -> str:
    """How the real thing that the sample's `name` stands for is made."""
    full = _full(project)
    if name in (shipped := Project(_full_catalog(), project.storage)).artifacts:
        full = shipped  # as it is for any generation
    if name not in full.artifacts:
        return f"the catalog {as_code(FULL)} makes none; a catalog of your own can"
    needed = _needed(full, name)
    own = full is not shipped or any(
        upstream.gated or not upstream.pinned
        for upstream in (full.catalog.upstream_of(one.owner) for one in needed)
    )
    environment = f"WMTP_CATALOG={'my.yaml' if own else FULL} WMTP_STORAGE=/data/wmtp"
    after = f"after steps 2 to 4 of the README's five{_with_contract(full)}, "
    steps = after if own else ""
    command = _command(f"{environment} wmtp materialize {name}")
    return f"{steps}{command}; {_disk(full.catalog, needed)}"


def _with_contract(full: Project) -> str:
    """What a copy of the shipped catalog must say besides; nothing where it says so."""
    contract = full.catalog.contract
    if contract == _full_catalog().contract:
        return ""
    line = f"contract: [{', '.join(contract)}]"
    return f" with {as_code(line)} in it"


def _full(project: Project) -> Project:
    """The real things, for the generations of training code that `project` serves."""
    served = {"contract": project.catalog.contract}
    return Project(_full_catalog().model_copy(update=served), project.storage)


@cache
def _full_catalog() -> Catalog:
    return load_catalog(FULL)


def _needed(project: Project, name: str) -> list[Artifact]:
    return [project.artifacts[one] for one in with_ancestors(project, [name])]


def _disk(catalog: Catalog, artifacts: Iterable[Artifact]) -> str:
    needed = disk_needed(catalog, artifacts)
    return f"{size(needed)} of disk" if needed >= 10**6 else "under 1 MB of disk"


def _assets(names: Iterable[str]) -> str:
    return ", ".join(f"[{as_code(name)}](/assets/{name})" for name in names)


def _command(command: str) -> str:
    return as_code(command)


def _takes(artifact: Artifact, repo: RepoId) -> bool:
    return artifact.is_fetched and UpstreamFiles.of(artifact).repo == repo


def _repository(catalog: Catalog, owner: str, upstream: Upstream) -> RepoId:
    return RepoId("dataset" if owner in catalog.datasets else "model", upstream.repository)


def _loading(catalog: Catalog, artifact: Artifact) -> str:
    """At most three lines of Python that load an artifact."""
    beside = (
        f"versions/{artifact.name}/current/{file}" for file in kind_of(artifact).beside(artifact)
    )
    path = next(iter(artifact.links), next(beside, ""))
    if artifact.is_fetched:
        return _FETCHED.format(name=artifact.name)
    if artifact.is_shared:
        return _TOKENIZER.format(folder=model_folder(catalog.contract[0], artifact.owner))
    if issubclass(kind_of(artifact).loaded_as, Split):
        rows = rows_of(catalog, artifact)
        classed = format_of(catalog, artifact).classed
        lines = READING if classed else READING_PLAIN
        return lines.format(asked=rows.asked) if rows else ""
    if artifact.is_checkpoint:
        network = layout_named(layout_of(catalog, artifact.owner)).network
        return LOADING[network].format(folder=model_folder(catalog.contract[0], artifact.owner))
    if artifact.is_sharded:
        network = layout_named(layout_of(catalog, artifact.owner)).network
        lines = _SHARDED if network == "causal_lm" else _SHARDED_TENSORS
        return lines.format(path=path)
    if artifact.is_raw_view:
        return _FOLDER.format(path=path)
    for ending, column in _FOUND_OUT.items():
        if path.endswith(ending) and artifact.split is not None:
            limit = catalog.datasets[artifact.owner].max_tokens
            rows = SplitOfRows(
                artifact.owner, artifact.split, artifact, limit, format_of(catalog, artifact)
            )
            return _COLUMN.format(asked=rows.asked, column=column)
    if path.endswith("_tests.json"):
        return _TESTS.format(dataset=artifact.owner, split=artifact.split)
    if artifact.is_about_quality and path.endswith("README.md"):
        return _DOCUMENT.format(path=path.removesuffix("README.md") + "figures.json")
    if path.endswith(".md"):
        return _CARD.format(path=path)
    if path.endswith(".jsonl"):
        return _LINES.format(path=path)
    return (_YAML if path.endswith(".yaml") else _DOCUMENT).format(path=path)
