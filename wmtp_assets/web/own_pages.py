"""Our own pages beside Dagster's: the report and the rows, behind the same guard. Reading only."""

from __future__ import annotations

from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from wmtp_assets.artifacts import Project
from wmtp_assets.pages.html import HTML, load_templates, policy
from wmtp_assets.pages.report import REPORT, served_report
from wmtp_assets.pages.rows import Answer, row_page, rows_page, splits_page, unknown_page
from wmtp_assets.web.session import ENTRY

_METHODS = ["GET"]  # Starlette answers HEAD with it


def own_routes(project: Project) -> list[Route]:
    """The routes of our own pages. Their functions run in threads: they read files."""

    def route(path: str, answered: Callable[[Request], Answer]) -> Route:
        def endpoint(request: Request) -> Response:
            return _response(answered(request))

        return Route(path, endpoint, methods=_METHODS)

    def splits(request: Request) -> Answer:
        return splits_page(project, _asked(request))

    def rows(request: Request) -> Answer:
        path = request.path_params
        return rows_page(project, path["dataset"], path["split"], _asked(request))

    def row(request: Request) -> Answer:
        path = request.path_params
        return row_page(project, path["dataset"], path["split"], path["row"], _asked(request))

    def unknown(request: Request) -> Answer:
        return unknown_page(project, request.url.path, _asked(request))

    def report(request: Request) -> Answer:
        return served_report(project, _asked(request))

    load_templates()
    return [
        # Dagster's first page shows runs only.
        Route("/", lambda _: RedirectResponse(ENTRY, 303), methods=_METHODS),
        route(REPORT, report),
        route("/rows", splits),
        route("/rows/{dataset}/{split}", rows),
        route("/rows/{dataset}/{split}/{row}", row),
        route("/rows/{path:path}", unknown),
    ]


def _asked(request: Request) -> str:
    """The query of the address, as it stands there."""
    query: bytes = request.scope["query_string"]
    return query.decode("latin-1")


def _response(answer: Answer) -> Response:
    return Response(
        answer.html.encode("utf-8", "replace"),
        answer.status,
        {"Content-Security-Policy": policy(), "Cache-Control": "no-store"},
        HTML,
    )
