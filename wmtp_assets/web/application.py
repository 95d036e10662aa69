"""Dagster's own web application, cut down to what this project's page needs.

Both lists name what is allowed. What a new version of Dagster adds stays out until it is named.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from graphql import ASTValidationRule, FieldNode, GraphQLError, ValidationRule
from starlette.applications import Starlette
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute

from wmtp_assets.web.dagster_internals import (
    DagsterWebserver,
    WorkspaceProcessContext,
    WorkspaceRequestContext,
)

# Left out: notebooks (files are read by the path that the request names), results reported from
# outside, and the old name of /server_info.
PATHS = frozenset(
    {
        "/server_info",
        "/graphql",
        "/logs/{path:path}",
        "/download_debug/{run_id:str}",
        "/{path:path}",
        "/",
    }
)

# Left out: what reports results that no run found, what sets a sensor's cursor, components and
# partitions (there are none here), telemetry, and ending the code server.
MUTATIONS = frozenset(
    {
        "launchPipelineExecution",
        "launchRun",
        "launchMultipleRuns",
        "launchPipelineReexecution",
        "launchRunReexecution",
        "terminatePipelineExecution",
        "terminateRun",
        "terminateRuns",
        "deletePipelineRun",
        "deleteRun",
        "startSchedule",
        "stopRunningSchedule",
        "resetSchedule",
        "scheduleDryRun",
        "startSensor",
        "stopSensor",
        "resetSensor",
        "sensorDryRun",
        "setAutoMaterializePaused",
        "reloadRepositoryLocation",
        "reloadWorkspace",
        "wipeAssets",
        "setConcurrencyLimit",
        "deleteConcurrencyLimit",
        "freeConcurrencySlots",
        "freeConcurrencySlotsForRun",
        "setNuxSeen",
    }
)


class _OnlyListedMutations(ValidationRule):
    """Refuses a GraphQL document that calls a mutation which is not in MUTATIONS."""

    def enter_field(self, node: FieldNode, *_: Any) -> None:
        """Reports the field, wherever it is: in the operation itself or in a fragment."""
        parent, name = self.context.get_parent_type(), node.name.value
        mutates = parent is not None and parent is self.context.schema.mutation_type
        if mutates and name not in MUTATIONS and name != "__typename":
            error = f"Refused: {name} is not served here (see SECURITY.md)."
            self.report_error(GraphQLError(error, node))


class _PageServer(DagsterWebserver[WorkspaceProcessContext, WorkspaceRequestContext]):
    def __init__(self, context: WorkspaceProcessContext, own: Sequence[BaseRoute]) -> None:
        super().__init__(context)
        self._own = own

    def build_graphql_validation_rules(self) -> Collection[type[ASTValidationRule]]:
        return [*super().build_graphql_validation_rules(), _OnlyListedMutations]

    def build_routes(self) -> list[BaseRoute]:
        every: list[BaseRoute] = super().build_routes()  # type: ignore[no-untyped-call]
        # Ours come first: Dagster's own page answers every path that nothing else does.
        return [*self._own, *(route for route in every if _is_served(route))]


def _is_served(route: BaseRoute) -> bool:
    if isinstance(route, Mount):
        return (route.name or "").endswith("_static")
    if isinstance(route, Route | WebSocketRoute):
        return route.path in PATHS or route.name == "root_static"
    return False


def page_application(context: WorkspaceProcessContext, own: Sequence[BaseRoute] = ()) -> Starlette:
    """Dagster's web application for this workspace, with the routes and mutations listed here, and
    our `own` routes in front of them."""
    return _PageServer(context, own).create_asgi_app()
