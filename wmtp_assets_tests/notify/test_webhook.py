"""Where messages go, by the environment, and what becomes of one that is sent."""

from __future__ import annotations

import traceback
from collections.abc import Iterator

import pytest

from wmtp_assets.artifacts.requirements import notifications
from wmtp_assets.cli import main
from wmtp_assets.hub.retry import Policy
from wmtp_assets.notify import webhook as transport
from wmtp_assets.notify.message import Item, Message
from wmtp_assets.notify.webhook import (
    DeliveryError,
    Webhook,
    WebhookSettingsError,
    page_url,
)
from wmtp_assets_tests.hub.secrets import leaks
from wmtp_assets_tests.notify.receiver import SECRET, Receiver, Reply, receiving
from wmtp_assets_tests.ports import reserved_port

IN_TIME = transport._HURRIED
MESSAGE = Message("This is a test", "Catalog sample", (Item("nothing", "of it"),))


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WMTP_WEBHOOK_URL", "WMTP_WEBHOOK_KIND", "WMTP_PAGE_URL"):
        monkeypatch.delenv(name, raising=False)
    # The receiver is a thread here: how soon it answers says how busy the machine is.
    monkeypatch.setattr(transport, "_HURRIED", Policy(connect=240.0, stall=240.0))
    monkeypatch.setattr(transport, "_ANSWER_SECONDS", 240.0)


def webhook(url: str, kind: str = "") -> Webhook | None:
    return Webhook.from_environment({"WMTP_WEBHOOK_URL": url, "WMTP_WEBHOOK_KIND": kind})


@pytest.mark.parametrize(
    ("host", "kind"),
    [
        ("hooks.slack.com", "slack"),
        ("HOOKS.slack.com:443", "slack"),
        ("contoso.webhook.office.com", "teams"),
        ("prod-12.westeurope.logic.azure.com:443", "teams"),
        ("default1.a.environment.api.powerplatform.com", "teams"),
    ],
)
def test_the_host_says_which_service_it_is(host: str, kind: str) -> None:
    found = webhook(f"https://{host}/services/{SECRET}")
    assert found is not None
    assert found.kind == kind
    assert found.host in str(found)
    assert leaks(SECRET, [str(found), repr(found)]) == []
    assert webhook(f"https://{host}/x", kind) is not None


@pytest.mark.parametrize(
    ("url", "kind", "said"),
    [
        (f"https://example.org/{SECRET}", "", "the host example.org"),
        (f"https://evil-hooks.slack.com.example.org/{SECRET}", "", "slack.com.example.org"),
        (f"https://webhook.office.com/{SECRET}", "", "the host webhook.office.com"),
        (f"https://notlogic.azure.com/{SECRET}", "", "the host notlogic.azure.com"),
        (f"https://example.org/{SECRET}", "discord", "one of slack, teams"),
        (f"https://hooks.slack.com/{SECRET}", "teams", "slack, for hooks.slack.com"),
        (f"http://hooks.slack.com/{SECRET}", "", "no encryption to hooks.slack.com"),
        (f"https://user:{SECRET}@hooks.slack.com/x", "", "a user name"),
        (f"ftp://hooks.slack.com/{SECRET}", "", "not http or https"),
        (f"{SECRET}", "", "does not begin with http:// or https://"),
        (f"{SECRET}:x", "", "does not begin with http:// or https://"),
        (f"hooks.slack.com:443/{SECRET}", "", "does not begin with http:// or https://"),
        (f"unix:///run/{SECRET}", "", "the scheme unix, not http or https"),
        (f"https://hooks.slack.com:0/{SECRET}", "", "port 0"),
        ("https://hooks.slack.com/x", SECRET, "something else"),
        ("https://hooks.slack.com/x", "mattermost", "mattermost"),
        (f"https:///{SECRET}", "", "without a host"),
        (f"https://hooks.slack.com:x/{SECRET}", "", "cannot be read"),
        (f"https://hooks.slack.com/{SECRET} x", "", "white space"),
    ],
)
def test_another_address_is_refused_and_not_shown(url: str, kind: str, said: str) -> None:
    with pytest.raises(WebhookSettingsError) as refused:
        webhook(url, kind)
    assert said in str(refused.value)
    said = str(refused.value) + repr(refused.value)
    assert leaks(SECRET, [said]) == []
    assert SECRET.lower() not in said


def test_nothing_is_set_where_the_variable_is_empty() -> None:
    assert webhook("") is None
    assert webhook("  ", "slack") is None
    assert Webhook.from_environment({}) is None
    assert page_url({}) is None
    assert page_url({"WMTP_PAGE_URL": "https://wmtp.example.org/"}) == "https://wmtp.example.org"
    assert page_url({"WMTP_PAGE_URL": "http://[::1]:3000"}) == "http://[::1]:3000"


@pytest.mark.parametrize(
    "url",
    [f"https://x.org/?token={SECRET}", f"https://{SECRET}@x.org", "x.org", "javascript:1", "https://x.org/a|b>"],
)  # fmt: skip
def test_an_address_of_the_page_is_plain(url: str) -> None:
    with pytest.raises(WebhookSettingsError) as refused:
        page_url({"WMTP_PAGE_URL": url})
    assert leaks(SECRET, [str(refused.value)]) == []


def sent(receiver: Receiver, kind: str = "slack") -> DeliveryError | None:
    """Sends one message: how it failed, if it did."""
    where = webhook(receiver.url, kind)
    assert where is not None
    failed: DeliveryError | None = None
    try:
        where.send(MESSAGE)
    except DeliveryError as error:
        failed = error
    whole = "".join(traceback.format_exception(failed)) if failed else ""
    assert leaks(SECRET, [whole, repr(failed)]) == []
    return failed


@pytest.mark.parametrize("kind", ["slack", "teams"])
def test_a_message_is_posted_as_json(receiver: Receiver, kind: str) -> None:
    receiver.replies = [Reply(202 if kind == "teams" else 200)]
    assert sent(receiver, kind) is None
    (headers,) = receiver.headers
    assert headers["content-type"] == "application/json"
    assert int(headers["content-length"]) == len(receiver.posted[0])
    assert ("blocks" in receiver.value()) is (kind == "slack")
    assert ("attachments" in receiver.value()) is (kind == "teams")


@pytest.mark.parametrize(
    ("reply", "said", "again", "after"),
    [
        (Reply(500), "HTTP 500", True, None),
        (Reply(429, {"Retry-After": "17"}), "HTTP 429", True, 17.0),
        (Reply(429, {"Retry-After": "soon"}), "HTTP 429", True, None),
        (Reply(403), "HTTP 403", True, None),
        (Reply(404), "HTTP 404", True, None),
        (Reply(400), "HTTP 400", False, None),
        (Reply(413), "HTTP 413", False, None),
        (Reply(304), "HTTP 304", True, None),
        (Reply(200, body=b"x" * (1 << 20)), "too large", True, None),
        (Reply(200, {"content-encoding": "br"}), "oddly encoded", True, None),
        (
            Reply(200, body=b"Webhook message delivery failed with error: HTTP error 429"),
            "the delivery failed",
            True,
            None,
        ),
    ],
    ids=str,
)
def test_what_is_not_accepted_is_an_error(
    receiver: Receiver, reply: Reply, said: str, again: bool, after: float | None
) -> None:
    receiver.replies = [reply]
    error = sent(receiver)
    assert error is not None
    assert said in str(error)
    assert (error.again, error.after) == (again, after)
    assert len(receiver.posted) == 1, "one call sends once"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(receiver: Receiver, status: int) -> None:
    with receiving() as other:
        receiver.replies = [Reply(status, {"Location": other.url})]
        error = sent(receiver)
        assert error is not None
        assert "a redirect, which is not followed" in str(error)
        assert other.posted == []


def test_a_webhook_that_hangs_is_left_in_time(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "_HURRIED", IN_TIME)
    receiver.replies = [Reply(after=600)]
    error = sent(receiver)
    assert error is not None
    assert "no answer in time" in str(error)


def test_a_closed_port_and_an_unknown_host_are_named_in_words(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with reserved_port() as port:
        error = sent(Receiver(f"http://127.0.0.1:{port}/{SECRET}"))
    assert error is not None
    assert "Connection refused" in str(error)
    error = sent(Receiver(f"https://no-such-host.invalid/{SECRET}"))
    assert error is not None
    assert "no-such-host.invalid" in str(error)
    assert error.again
    monkeypatch.setenv("HTTPS_PROXY", "://")
    error = sent(Receiver(f"https://no-such-host.invalid/{SECRET}"))
    assert error is not None
    assert "HTTPS_PROXY is not the address of a proxy" in str(error)


def test_the_command_sends_a_test_message_and_says_where(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WMTP_CATALOG", "sample")
    assert main(["notify"]) == 0
    assert "nothing is sent" in capsys.readouterr().out
    assert main(["notify", "--test"]) == 2
    for name, value in receiver.environment().items():
        monkeypatch.setenv(name, value)
    assert main(["notify"]) == 0
    assert receiver.posted == []
    assert main(["notify", "--test"]) == 0
    assert "This is a test" in receiver.texts[0]
    assert "Catalog sample" in receiver.posted[0].decode()
    receiver.replies = [Reply(404)]
    assert main(["notify", "--test"]) == 2
    said = capsys.readouterr()
    assert "HTTP 404" in said.err
    assert "Slack, at 127.0.0.1" in said.out
    assert leaks(SECRET, [said.out, said.err]) == []


def test_the_doctor_says_whether_there_is_a_webhook(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (notifications().state, notifications().found) == ("ok", "none: nothing is sent")
    monkeypatch.setenv("WMTP_WEBHOOK_URL", f"https://hooks.slack.com/{SECRET}")
    assert "Slack, at hooks.slack.com" in notifications().found
    monkeypatch.setenv("WMTP_WEBHOOK_URL", f"https://hooks.example.com/{SECRET}")
    assert notifications().state == "warning", "no run needs one"
    assert "WMTP_WEBHOOK_URL" in notifications().found
    assert leaks(SECRET, [repr(notifications())]) == []
