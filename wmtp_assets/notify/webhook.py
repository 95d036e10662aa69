"""Where messages go, which only the environment says, and sending one.

| variable | meaning |
| --- | --- |
| WMTP_WEBHOOK_URL | the webhook's address; whoever knows it may post, so it is never shown |
| WMTP_WEBHOOK_KIND | `slack` or `teams`, for a host that does not tell |
| WMTP_PAGE_URL | the address under which people reach the page, for links in messages |
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wmtp_assets.errors import WmtpError
from wmtp_assets.hub.addresses import Address, BadAddressError
from wmtp_assets.hub.retry import Policy, retry_after
from wmtp_assets.notify.message import Message, slack, teams

if TYPE_CHECKING:
    from wmtp_assets.hub.wire import Answer

URL, KIND, PAGE = "WMTP_WEBHOOK_URL", "WMTP_WEBHOOK_KIND", "WMTP_PAGE_URL"

_FORMS: Mapping[str, Callable[[Message], bytes]] = {"slack": slack, "teams": teams}
_NAMES = {"slack": "Slack", "teams": "Microsoft Teams"}
# The services' own hosts; below the last three, each customer has one.
_HOSTS = {"hooks.slack.com": "slack", "hooks.slack-gov.com": "slack"}
_DOMAINS = {
    ".webhook.office.com": "teams",
    ".logic.azure.com": "teams",
    ".powerplatform.com": "teams",
}
_PAGE_URL = re.compile(r"https?://[A-Za-z0-9._~:\[\]-]+(/[A-Za-z0-9._~/-]*)?")
_WORD = re.compile(r"[a-z]{1,12}")  # the name of a service, perhaps, and no secret
_HURRIED = Policy(connect=5.0, stall=8.0)  # a sensor's tick has a minute
_ANSWER_BYTES, _ANSWER_SECONDS = 64 << 10, 5.0
# Of an answer with status 200 of a connector of Teams, whose own service refused the message.
_UNDELIVERED = b"message delivery failed"
# Another try would be answered alike: it is the message that is refused.
_REFUSED = frozenset({400, 413, 422})


class WebhookSettingsError(WmtpError):
    """The environment names no webhook that messages could go to."""


class DeliveryError(WmtpError):
    """A message was not accepted.

    `again`: another try may help. `after`: seconds that the webhook asks to be left alone for.
    """

    def __init__(self, found: str, where: str, *, again: bool = True, after: float | None = None):
        self.again = again
        self.after = after
        super().__init__(
            "The webhook did not accept the message",
            found=found,
            where=where,
            hint="see whether the webhook still exists; `wmtp notify --test` tries it.",
        )


@dataclass(frozen=True, repr=False)
class Webhook:
    """A webhook: `url` is a secret, `kind` is a key of `_FORMS`. Never printed."""

    url: str
    kind: str
    host: str

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Webhook | None:
        """The webhook of WMTP_WEBHOOK_URL and WMTP_WEBHOOK_KIND; None where none is set.

        Raises WebhookSettingsError, which quotes nothing of the address but its host.
        """
        values = os.environ if environment is None else environment
        url, kind = values.get(URL, "").strip(), values.get(KIND, "").strip().lower()
        if not url:
            return None
        if kind and kind not in _FORMS:
            word = (
                kind
                if _WORD.fullmatch(kind)
                else "something else, which may be part of the address"
            )
            raise _wrong(KIND, f"one of {', '.join(_FORMS)}", word)
        try:
            address = Address.of(url)
        except BadAddressError as error:
            raise _wrong(URL, "the https:// address of a webhook", str(error)) from None
        if address.user is not None:
            raise _wrong(URL, "an address without a user name", "one with a user name")
        if address.scheme != "https" and not address.is_loopback:
            raise _wrong(URL, "an https:// address", f"no encryption to {address.host}")
        known = _kind_of(address.host)
        if known is None and not kind:
            raise _wrong(
                URL,
                "a webhook of Slack or Microsoft Teams",
                f"the host {address.host}",
                f"copy the address again, or set {KIND} to slack or teams if {address.host} takes "
                "their messages.",
            )
        if known and kind and known != kind:
            raise _wrong(KIND, f"{known}, for {address.host}", kind)
        return cls(url, kind or str(known), address.host)

    def __str__(self) -> str:
        return f"{_NAMES[self.kind]}, at {self.host}"

    def send(self, message: Message) -> None:
        """Posts the message, once, within half a minute. Follows no redirect.

        Raises DeliveryError, whose text holds nothing of the address but its host.
        """
        import httpcore2

        from wmtp_assets.hub.wire import BadEncodingError, BodyTooLargeError, Headers, ask

        body = _FORMS[self.kind](message)
        headers = Headers({"content-type": "application/json", "content-length": str(len(body))})
        try:
            with ask("POST", self.url, headers, _HURRIED, body) as answer:
                self._judge(answer)
            return
        except DeliveryError as error:
            failed = error
        except (httpcore2.TimeoutException, httpcore2.NetworkError) as error:
            failed = self._failure(_words(error))
        except (BadEncodingError, BodyTooLargeError):
            failed = self._failure("an answer that is too large or oddly encoded")
        except WmtpError as error:  # of the proxy, or of certificates: the environment is wrong
            failed = self._failure(error.problem)
        except Exception as error:  # whatever it is, its text may quote what was sent
            failed = self._failure(f"no answer that can be read ({type(error).__name__})")
        # Without its frames and its cause: their locals hold the address.
        raise failed.with_traceback(None) from None

    def _judge(self, answer: Answer) -> None:
        """Raises DeliveryError unless the answer says that the message was accepted."""
        if answer.location is not None or 300 <= answer.status < 400:
            raise self._failure(f"HTTP {answer.status}, a redirect, which is not followed")
        if not 200 <= answer.status < 300:
            after = retry_after(answer.headers.get("retry-after"))
            again = answer.status not in _REFUSED
            raise self._failure(f"HTTP {answer.status}", again=again, after=after)
        if _UNDELIVERED in answer.read(_ANSWER_BYTES, _ANSWER_SECONDS).lower():
            raise self._failure("HTTP 200, saying that the delivery failed")

    def _failure(
        self, found: str, *, again: bool = True, after: float | None = None
    ) -> DeliveryError:
        return DeliveryError(found, str(self), again=again, after=after)


def page_url(environment: Mapping[str, str] | None = None) -> str | None:
    """WMTP_PAGE_URL without a slash at its end; None where it is not set.

    Raises WebhookSettingsError, also for one with a query: a link's token lets its reader in.
    """
    values = os.environ if environment is None else environment
    url = values.get(PAGE, "").strip()
    if not url:
        return None
    if not _PAGE_URL.fullmatch(url):
        expected = "an address such as https://wmtp.example.org, without user, query or fragment"
        raise _wrong(PAGE, expected, "something else (it is not shown, since it may hold a token)")
    return url.rstrip("/")


def _kind_of(host: str) -> str | None:
    for domain, kind in _DOMAINS.items():
        if host.endswith(domain):
            return kind
    return _HOSTS.get(host)


def _wrong(
    variable: str, expected: str, found: str, hint: str | None = None
) -> WebhookSettingsError:
    return WebhookSettingsError(
        f"{variable} cannot be used",
        expected=expected,
        found=found,
        where=f"the variable {variable} of the environment",
        hint=hint or f"correct {variable}, or unset it.",
    )


def _words(error: Exception) -> str:
    """What the network refused, in words that quote nothing of the address."""
    kind = type(error).__name__
    if "Timeout" in kind:
        return "no answer in time"
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return f"no connection: {cause.strerror}"
        cause = cause.__cause__ or cause.__context__
    return f"no connection ({kind})"
