"""What a run may configure: nothing but to make an asset again, by every job's own schema."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster._config.config_type import ConfigType, ConfigTypeKind
from dagster._core.execution.api import create_execution_plan

from wmtp_assets.catalog import load_catalog
from wmtp_assets.definitions import build_defs
from wmtp_assets.orchestration.assets.common import FORCED
from wmtp_assets.orchestration.jobs import RunConfigError, check_names

# Permissive: Dagster's own job takes the names of other assets; `OneProcess` refuses unknown ones.
SHAPES = (ConfigTypeKind.STRICT_SHAPE, ConfigTypeKind.PERMISSIVE_SHAPE)


@pytest.fixture(scope="module")
def defs(tmp_path_factory: pytest.TempPathFactory) -> dg.Definitions:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)
        return build_defs(load_catalog("sample"), None, tmp_path_factory.mktemp("storage"))


@pytest.fixture(scope="module")
def jobs(defs: dg.Definitions) -> list[dg.JobDefinition]:
    """Every job that can be launched, Dagster's own for "Materialize" included."""
    found = defs.get_repository_def().get_all_jobs()
    assert {"__ASSET_JOB", "materialize_all", "refresh", "verify"} <= {job.name for job in found}
    return list(found)


def leaves(config: ConfigType, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ConfigType]]:
    """Every place where a run's configuration can hold a value."""
    if config.kind not in SHAPES:
        yield ".".join(path), config
        return
    for name, field in config.fields.items():  # type: ignore[attr-defined]
        yield from leaves(field.config_type, (*path, name))


def materialized(defs: dg.Definitions, job: dg.JobDefinition) -> set[str]:
    """The operations of `job` that make an artifact of the catalog."""
    own = {"doctor", "phase2_readiness", "report"}
    return {
        defs.resolve_assets_def(key).op.name
        for key in job.asset_layer.selected_asset_keys
        if defs.resolve_assets_def(key).is_materializable
        and key.to_user_string() not in own
        and key.path[0] != "gate"
    }


def test_no_job_has_a_field_but_force(defs: dg.Definitions, jobs: list[dg.JobDefinition]) -> None:
    for job in jobs:
        found = dict(leaves(job.run_config_schema.run_config_schema_type))
        expected = {f"ops.{name}.config.force" for name in materialized(defs, job)}
        assert set(found) == expected, job.name
        # Exactly Bool: BoolSource would also take {env: NAME}.
        assert {config.key for config in found.values()} <= {"Bool"}, job.name


def test_force_is_described_and_off(defs: dg.Definitions, jobs: list[dg.JobDefinition]) -> None:
    (job,) = [job for job in jobs if job.name == "materialize_all"]
    for name in materialized(defs, job):
        schema = job.get_node_named(name).definition.config_schema  # type: ignore[attr-defined]
        field = schema.config_type.fields["force"]
        assert field.description is not None
        assert "again" in field.description
        assert not field.is_required
        assert field.default_value is False


@pytest.mark.parametrize(
    "config",
    [
        {"resources": {"storage": {"config": {"root": "/elsewhere"}}}},
        {"resources": {"hub": {"config": {"spec": {"env": "HF_TOKEN"}}}}},
        {"resources": {"hub": {"config": {"sample": "/elsewhere"}}}},
        {"resources": {"io_manager": {"config": {"base_dir": "/elsewhere"}}}},
        {"resources": {"artifact_io": {"config": {"anything": 1}}}},
        {"resources": {"new": {"config": {}}}},
        {"loggers": {"console": {"config": {"log_level": {"env": "HF_TOKEN"}}}}},
        {"loggers": {"json": {"config": {}}}},
        {"execution": {"config": {"marker_to_close": "/elsewhere"}}},
        {"execution": {"config": {"retries": {"disabled": {}}}}},
        {"execution": {"config": {"in_process": {}}}},
        {"ops": {"models__tokenizer": {"config": {"root": "/elsewhere"}}}},
        {"ops": {"models__tokenizer": {"config": {"force": {"env": "HF_TOKEN"}}}}},
        {"ops": {"models__tokenizer": {"config": {"force": "yes"}}}},
        {"ops": {"models__tokenizer": {"inputs": {"models__tokenizer_raw": "/elsewhere"}}}},
        {"ops": {"models__tokenizer": {"outputs": [{"result": {"json": "/elsewhere"}}]}}},
        {"ops": {"doctor": {"config": {"force": True}}}},
        {"ops": {"models__tokenizer_checks": {"config": {"force": True}}}},
        {"inputs": {}},
        {"storage": {"filesystem": {"config": {"base_dir": "/elsewhere"}}}},
    ],
    ids=str,
)
def test_other_configuration_is_refused(
    jobs: list[dg.JobDefinition], config: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "canary-of-the-environment")
    (job,) = [job for job in jobs if job.name == "materialize_all"]
    with pytest.raises(dg.DagsterInvalidConfigError) as refused:
        create_execution_plan(job, run_config=config)
    assert "canary-of-the-environment" not in str(refused.value)


def test_only_dagsters_own_job_passes_over_an_unknown_name(jobs: list[dg.JobDefinition]) -> None:
    for job in jobs:
        top = job.run_config_schema.run_config_schema_type.fields  # type: ignore[attr-defined]
        open_to = {name for name, one in top.items() if one.config_type.kind is SHAPES[1]}
        assert open_to == ({"ops", "resources"} if job.name == "__ASSET_JOB" else set())


@pytest.mark.parametrize(
    "config",
    [{"ops": {"models__tokeniser": FORCED}}, {"resources": {"new": {}}}, {"ops": []}],
)
def test_an_unknown_name_is_refused_by_the_executor(config: dict[str, object]) -> None:
    known = {"ops": {"models__tokenizer"}, "resources": {"storage"}}
    with pytest.raises(RunConfigError, match="unknown"):
        check_names(config, known)


@pytest.mark.parametrize("config", [{}, {"ops": {"models__tokenizer": FORCED}}, {"ops": None}])
def test_known_names_pass(config: dict[str, object]) -> None:
    check_names(config, {"ops": {"models__tokenizer"}, "resources": {"storage"}})


def test_force_itself_is_accepted(jobs: list[dg.JobDefinition]) -> None:
    (job,) = [job for job in jobs if job.name == "materialize_all"]
    config = {"ops": {"models__tokenizer": {"config": {"force": True}}}}
    assert create_execution_plan(job, run_config=config).step_keys_to_execute


def test_a_tag_forces_nothing(project_tag_sources: list[Path]) -> None:
    """No code reads a run's tags: they are text that anyone who starts a run chooses."""
    assert [path for path in project_tag_sources if ".tags" in path.read_text("utf-8")] == []


@pytest.fixture
def project_tag_sources() -> list[Path]:
    package = Path(__file__).parents[1] / "wmtp_assets"
    return [
        *package.glob("orchestration/assets/*.py"),
        *package.glob("orchestration/checks/*.py"),
        package / "orchestration/io_manager.py",
        *package.glob("artifacts/**/*.py"),
    ]
