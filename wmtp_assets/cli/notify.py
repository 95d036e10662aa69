"""The command about notifications: notify."""

from __future__ import annotations

import argparse
from typing import Any

from wmtp_assets.cli.common import DONE, REFUSED, open_project

_HINT = "`export WMTP_WEBHOOK_URL=...` (docs/operations.md shows how to get one)."


def register(commands: Any) -> None:
    """Adds this command to the parser."""
    notify = commands.add_parser(
        "notify", help="say where failures are sent, according to the environment"
    )
    notify.add_argument("--test", action="store_true", help="send a test message there")
    notify.set_defaults(run=_notify, starts_over=True)


def _notify(given: argparse.Namespace) -> int:
    from wmtp_assets.notify.message import Item, Message
    from wmtp_assets.notify.webhook import Webhook, page_url

    webhook, page = Webhook.from_environment(), page_url()
    if webhook is None:
        print(f"No webhook is set, so nothing is sent: {_HINT}")
        return REFUSED if given.test else DONE
    if given.test:
        project = open_project()
        item = Item("Nothing failed", "somebody called `wmtp notify --test`", "nothing")
        where = f"Catalog {project.catalog.name}, storage {project.storage}"
        webhook.send(Message("This is a test", where, (item,), link=page))
        print(f"A message was sent to {webhook}.")
        return DONE
    print(f"Failures are sent to {webhook}, while a page is served and its sensor `notify` is on.")
    print(f"Links lead to {page}." if page else "They link to no page: WMTP_PAGE_URL is not set.")
    return DONE
