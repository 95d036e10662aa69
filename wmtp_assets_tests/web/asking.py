"""Everything that a GraphQL server offers, read from its own description, and how to try it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from graphql import (
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLSchema,
    GraphQLUnionType,
    build_client_schema,
    get_introspection_query,
    get_named_type,
    is_leaf_type,
    is_object_type,
    is_required_argument,
)

from wmtp_assets_tests.web.pages import Page

ConfigPath = tuple[str, ...]

CONFIG = """
query Config($selector: PipelineSelector!) {
  runConfigSchemaOrError(selector: $selector) {
    __typename
    ... on RunConfigSchema {
      rootConfigType { key }
      allConfigTypes {
        __typename key isSelector
        ... on CompositeConfigType { fields { name configTypeKey description } }
      }
    }
  }
}
"""
VALID = """
query Valid($selector: PipelineSelector!, $config: RunConfigData) {
  isPipelineConfigValid(pipeline: $selector, mode: "default", runConfigData: $config) {
    __typename
    ... on RunConfigValidationInvalid { errors {
      message reason stack { entries { ... on EvaluationStackPathEntry { fieldName } } }
    } }
    ... on PythonError { message stack }
  }
}
"""
JOBS = '{repositoryOrError(repositorySelector: {repositoryName: "__repository__", \
repositoryLocationName: "wmtp_assets"}) {... on Repository {pipelines {name}}}}'


def schema_of(page: Page) -> GraphQLSchema:
    """The server's schema, by introspection."""
    return build_client_schema(page.graphql(get_introspection_query())["data"])


def jobs_of(page: Page) -> list[str]:
    """Every job that can be launched, Dagster's own for "Materialize" included."""
    found = page.graphql(JOBS)["data"]["repositoryOrError"]["pipelines"]
    return [job["name"] for job in found]


def selector(job: str, *assets: str) -> dict[str, Any]:
    """How GraphQL is told which job, and which of its assets."""
    chosen = [{"path": name.split("/")} for name in assets]
    return {
        "pipelineName": job,
        "repositoryName": "__repository__",
        "repositoryLocationName": "wmtp_assets",
        **({"assetSelection": chosen} if chosen else {}),
    }


@dataclass(frozen=True)
class ConfigField:
    """A place in a run's configuration; `kind` is GraphQL's name for its type."""

    path: ConfigPath
    kind: str
    key: str


def config_fields(page: Page, job: str) -> list[ConfigField]:
    """Every field of a job's run configuration, with the root, as the launchpad would list them."""
    answer = page.graphql(CONFIG, selector=selector(job))["data"]["runConfigSchemaOrError"]
    assert answer["__typename"] == "RunConfigSchema", answer
    types = {one["key"]: one for one in answer["allConfigTypes"]}

    def below(key: str, path: ConfigPath) -> Iterator[ConfigField]:
        # A type that the answer leaves out is a scalar: those have no fields.
        one = types.get(key, {"__typename": "RegularConfigType"})
        yield ConfigField(path, one["__typename"], key)
        for part in one.get("fields", []):
            yield from below(part["configTypeKey"], (*path, part["name"]))

    return list(below(answer["rootConfigType"]["key"], ()))


def accepted(page: Page, job: str, places: list[ConfigPath], value: object) -> list[ConfigPath]:
    """Those of `places` where a run of `job` may have `value`, by the server's own validation."""
    left = list(places)
    while left:
        found = page.graphql(VALID, selector=selector(job), config=config_with(left, value))
        answer = found["data"]["isPipelineConfigValid"]
        if answer["__typename"] == "PipelineConfigValidationValid":
            return left
        assert answer["__typename"] == "RunConfigValidationInvalid", answer
        stacks = [error["stack"]["entries"] for error in answer["errors"]]
        wrong = {tuple(entry.get("fieldName") for entry in stack) for stack in stacks}
        # An error is at the place itself, or at the shape that knows no such name.
        kept = [p for p in left if p not in wrong and p[:-1] not in wrong]
        assert len(kept) < len(left), answer
        left = kept
    return left


def config_with(places: list[ConfigPath], value: object) -> dict[str, Any]:
    """A run configuration that has `value` in each of these places."""
    config: dict[str, Any] = {}
    for path in places:
        at = config
        for name in path[:-1]:
            at = at.setdefault(name, {})
        at[path[-1]] = value
    return config


@dataclass(frozen=True)
class Hand:
    """What to fill in where a mutation asks for something: by name where one is known, else
    `text`. `config` is the run's configuration."""

    text: str
    config: dict[str, Any]
    run_id: str
    asset: str

    def value(self, name: str, wanted: object, depth: int = 0) -> Any:
        """A value of the GraphQL type `wanted` for the argument or field `name`."""
        if isinstance(wanted, GraphQLNonNull):
            return self.value(name, wanted.of_type, depth)
        if isinstance(wanted, GraphQLList):
            if name == "tags" or name == "extraTags":
                return self.tags()
            if name == "path":
                return self.asset.split("/")
            return [self.value(name, wanted.of_type, depth)]
        if isinstance(wanted, GraphQLInputObjectType):
            if wanted.name == "JobOrPipelineSelector":
                return selector("__ASSET_JOB", self.asset)
            return {
                one: self.value(one, part.type, depth + 1) for one, part in wanted.fields.items()
            }
        if isinstance(wanted, GraphQLEnumType):
            return next(iter(wanted.values))
        known = {
            "repositoryLocationName": "wmtp_assets",
            "locationName": "wmtp_assets",
            "repositoryName": "__repository__",
            "scheduleName": "daily_verify",
            "sensorName": "follow_changes",
            "runId": self.run_id,
            "runIds": self.run_id,
            "parentRunId": self.run_id,
            "rootRunId": self.run_id,
            "runConfigData": self.config,
            "mode": "default",
            "checkName": "files_as_recorded",
            "stepKeys": "models__tokenizer_raw",
        }
        kind = getattr(wanted, "name", "")
        scalars = {"Int": 1, "Float": 1.0, "Boolean": True}
        return known.get(name, scalars.get(kind, self.text))

    def tags(self) -> list[dict[str, str]]:
        """Tags that Dagster or its launchers act on, and one of this project's past."""
        keys = (
            *("wmtp/force", "wmtp/storage", "dagster/priority", "dagster/max_retries"),
            *("dagster/max_runtime", "dagster/image", "dagster-k8s/config", "dagster/partition"),
            *("dagster/run_config", "dagster/storage", ".dagster/storage", "dagster/env"),
            *("dagster/compute_logs", "dagster/concurrency_key"),
        )
        grpc = {"key": ".dagster/grpc_info", "value": json.dumps({"socket": self.text})}
        return [*({"key": key, "value": self.text} for key in keys), grpc]

    def arguments(self, mutation: GraphQLField) -> Iterator[dict[str, Any]]:
        """The required arguments alone, with each other one, and all together."""
        values = {name: self.value(name, one.type) for name, one in mutation.args.items()}
        needed = {n: values[n] for n, one in mutation.args.items() if is_required_argument(one)}
        seen: list[dict[str, Any]] = []
        for more in ({}, *({name: values[name]} for name in values), values):
            if (chosen := needed | more) not in seen:
                seen.append(chosen)
        yield from seen


def mutation_text(name: str, mutation: GraphQLField, given: dict[str, Any]) -> str:
    """The GraphQL document that calls a mutation and asks for all that it may answer."""
    declared = ", ".join(f"${one}: {mutation.args[one].type}" for one in given)
    passed = ", ".join(f"{one}: ${one}" for one in given)
    head = f"mutation M({declared})" if given else "mutation M"
    call = f"{name}({passed})" if given else name
    return f"{head} {{ {call} {selection(mutation.type)} }}"


def selection(type_: object, depth: int = 2) -> str:
    """Every leaf of an answer's type, and of what it holds, `depth` levels down."""
    named = get_named_type(type_)  # type: ignore[arg-type]
    if is_leaf_type(named):
        return ""
    if isinstance(named, GraphQLUnionType):
        parts = [
            # Aliases: the members of a union may have fields of one name and different types.
            f"... on {one.name} {fields(one, depth, f'{one.name}_')}"
            for one in named.types
        ]
        return f"{{ __typename {' '.join(parts)} }}"
    return fields(named, depth, "")


def fields(type_: Any, depth: int, prefix: str) -> str:
    chosen = ["__typename"]
    for name, one in type_.fields.items():
        if any(is_required_argument(argument) for argument in one.args.values()):
            continue
        inner = get_named_type(one.type)
        if is_leaf_type(inner):
            chosen.append(f"{prefix}{name}: {name}" if prefix else name)
        elif depth > 0 and is_object_type(inner):
            chosen.append(f"{prefix}{name}: {name} {fields(inner, 0, '')}")
    return f"{{ {' '.join(chosen)} }}"
