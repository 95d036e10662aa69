"""What a run of a catalog needs of this machine and of upstream: `wmtp doctor`, page and facts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.kinds import kind_of
from wmtp_assets.artifacts.types import Split
from wmtp_assets.artifacts.upstream_files import how_to_pin, select, unpinned
from wmtp_assets.catalog import Catalog, UpstreamModel
from wmtp_assets.catalog.artifacts import Artifact, model_artifact
from wmtp_assets.checkpoints.layouts import layout_named
from wmtp_assets.corpora.formats import FORMATS
from wmtp_assets.execution.confinement import ConfinementError, available
from wmtp_assets.hub.doctor import Fact, diagnose
from wmtp_assets.hub.files import RemoteFile, WantedFile, WantedRepo
from wmtp_assets.hub.source import Hub
from wmtp_assets.notify.webhook import Webhook, WebhookSettingsError, page_url
from wmtp_assets.storage.claims import LEASE
from wmtp_assets.storage.file_systems import file_system_of

# A conversion streams, the transform holds a few row groups: measured, see benchmarks/README.md.
_MEMORY_BYTES = 1_500_000_000
_BYTES = {
    "float64": 8,
    "float32": 4,
    "float16": 2,
    "bfloat16": 2,
    "float8_e4m3fn": 1,
    "float8_e5m2": 1,
}
_MARKS = {"fine": "ok", "warning": "??", "problem": "!!"}


def examine(project: Project) -> list[Fact]:
    """Everything that a run needs, and whether it is there. Fetches nothing; at most 20 s."""
    spec = project.hub_spec
    is_sample = spec is None and project.sample is not None
    if is_sample:
        project.hub()  # writes the sample, which is then the source
        spec = str(project.sample)
    needed = disk_needed(project.catalog, project.artifacts.values())
    by_repo = {one.repo: one.files for one in project.upstream_files()}

    def chosen(hub: Hub, one: WantedRepo, listing: Sequence[RemoteFile]) -> list[WantedFile]:
        return select(hub, one.repo, by_repo[one.repo], listing)

    disk = {project.storage: needed}
    repos = wanted_repos(project)
    facts = diagnose(spec, repos, disk, _MEMORY_BYTES, chosen, is_sample)
    return [
        *facts,
        file_system(project.storage),
        *sandbox(project),
        *pins(project),
        notifications(),
    ]


def file_system(folder: Path) -> Fact:
    """The file system that a folder is on, and what follows from it."""
    found = file_system_of(folder)
    place = f"(mounted at {found.mount}"
    if found.source not in ("", found.kind):
        place += f" from {found.source}"
    place += ")"
    if found.is_local:
        said = f"{found.kind}: {found.locks()}; rows and weights are mapped"
        return Fact("file_system", "ok", said, where=place)
    return Fact(
        "file_system",
        "warning",
        f"{found.kind}: {found.locks()}. Locks work between machines nevertheless, by files "
        "that their holders touch; a lock of a process that died elsewhere is taken over after "
        f"{LEASE:g} s. Rows and weights are read by read calls, not mapped (mmap=True maps them)",
        "a file system that one machine has mounted, for the storage that is written to",
        "train from copies on the nodes' own disks where there is room: mapped or not, they are "
        "read faster there.",
        place,
    )


def sandbox(project: Project) -> list[Fact]:
    """Whether this machine can confine the programs that rows are, where the catalog asks for
    executed rows. No run needs it: without, nothing is executed."""
    if not any(artifact.executes_rows for artifact in project.artifacts.values()):
        return []
    try:
        means = available()
    except ConfinementError as error:
        return [
            Fact(
                "sandbox",
                "warning",
                f"{error.what()} No row is executed",
                "a kernel with Landlock (Linux 5.13 or newer), or namespaces for users",
                error.hint or "",
            )
        ]
    landlock = f"Landlock {means.landlock}" if means.landlock else "no Landlock"
    namespaces = "namespaces" if means.namespaces else "no namespaces"
    return [Fact("sandbox", "ok", f"{landlock}, {namespaces}: rows can be executed")]


def notifications() -> Fact:
    """Whether there is a webhook that failures are sent to. No run needs one."""
    try:
        webhook = Webhook.from_environment()
        page_url()
    except WebhookSettingsError as error:
        found = f"{error.problem}: {error.found}"
        return Fact("webhook", "warning", found, str(error.expected), error.hint or "")
    found = f"{webhook} (`wmtp notify --test` tries it)" if webhook else "none: nothing is sent"
    return Fact("webhook", "ok", found)


def pins(project: Project) -> list[Fact]:
    """A problem for each repository that is not pinned where the catalog takes commits only."""
    return [
        Fact(
            "pin",
            "problem",
            f"{one.repo} is at {one.revision}, which moves",
            "a commit (40 hex digits)",
            how_to_pin(one),
        )
        for one in unpinned(project.catalog, project.upstream_files())
    ]


def wanted_repos(project: Project) -> list[WantedRepo]:
    """Every repository with its licence and whether its gate must be open, by the catalog.

    `files` are those that the catalog names; which ones a pattern means, only a listing tells.
    """
    entries = {one.repository: one for one in project.catalog.upstreams().values()}
    return [
        WantedRepo(
            wanted.repo,
            wanted.revision,
            tuple(WantedFile(f.path, f.sha256, f.size) for f in wanted.files if "*" not in f.path),
            entries[wanted.repo.name].licence_name or entries[wanted.repo.name].licence,
            entries[wanted.repo.name].gated,
        )
        for wanted in project.upstream_files()
    ]


def disk_needed(catalog: Catalog, artifacts: Iterable[Artifact]) -> int:
    """Bytes that making `artifacts` of `catalog` from nothing writes: fetched files, checkpoints
    and rows; an estimate. What they are made from must be among them to count."""
    return sum(_bytes_of(catalog, artifact) for artifact in artifacts)


def _bytes_of(catalog: Catalog, artifact: Artifact) -> int:
    model, dataset = catalog.models.get(artifact.owner), catalog.datasets.get(artifact.owner)
    if artifact.is_checkpoint and model is not None:
        dtype = model.dtype if isinstance(model, UpstreamModel) else "float16"
        return model.expected.parameters * _BYTES[dtype]
    if isinstance(model, UpstreamModel) and artifact.name == model_artifact(artifact.owner, "raw"):
        copies = layout_named(model.layout).copies_at_source
        return model.expected.parameters * _BYTES[model.source_dtype] * copies
    if (
        dataset is not None
        and artifact.split
        and (artifact.is_fetched or artifact.is_of_whole_problems or _is_whole_split(artifact))
    ):
        rows = dataset.splits[artifact.split].rows or 0
        # Upstream's parquet is about half of what comes out of it, and tests are a part of it.
        half = rows * FORMATS[dataset.layout].row_bytes // 2
        return 2 * half if _is_whole_split(artifact) else half
    return 0


def _is_whole_split(artifact: Artifact) -> bool:
    return issubclass(kind_of(artifact).loaded_as, Split) and not artifact.is_small


def facts_text(facts: Sequence[Fact]) -> str:
    """A line per fact, and what to do below each that is not fine."""
    lines = []
    for fact in facts:
        wanted = f" (needed: {fact.expected})" if fact.expected else ""
        said = " ".join(filter(None, (fact.found, fact.where)))
        lines.append(f"{_MARKS.get(fact.state, fact.state)}  {fact.name}: {said}{wanted}")
        if fact.hint:
            lines.append(f"      {fact.hint}")
    return "\n".join(lines)


def page(facts: Sequence[Fact]) -> str:
    """One screen: `facts_text`, and whether a run would succeed."""
    problems = sum(fact.state == "problem" for fact in facts)
    conclusion = (
        "Ready for a full run."
        if not problems
        else "1 problem stands in the way."
        if problems == 1
        else f"{problems} problems stand in the way."
    )
    return f"{facts_text(facts)}\n{conclusion}"
