"""The pages of rows: what they show is what the files hold, and no row can do anything to them."""

from __future__ import annotations

import gc
import itertools
import json
import os
import re
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from wmtp_assets.artifacts import Project
from wmtp_assets.catalog import load_catalog
from wmtp_assets.corpora.opening import open_corpus
from wmtp_assets.corpora.row_index import RowIndex
from wmtp_assets.pages.html import policy
from wmtp_assets.pages.row_facets import Matches, facets_of_all
from wmtp_assets.pages.row_query import FLAGS, RowQuery, read_query
from wmtp_assets.pages.rows import SHOWN_CHARACTERS, splits_of_rows
from wmtp_assets.web.headers import SecurityHeaders
from wmtp_assets.web.own_pages import own_routes
from wmtp_assets_tests.pages.planting import FOLDER, encoded, plant, row
from wmtp_assets_tests.pages.reading import check_harmless, read_page

if TYPE_CHECKING:
    from httpx import Response

TRAIN = "/rows/codecontests/train"


def client_of(project: Project) -> TestClient:
    """A client of our own pages, with the headers that the server adds."""
    app = SecurityHeaders(Starlette(routes=own_routes(project)))
    return TestClient(app, raise_server_exceptions=True)


@pytest.fixture(scope="module")
def client(project: Project) -> TestClient:
    return client_of(project)


def shown_rows(reply: Response) -> list[int]:
    """The numbers of the rows on a page."""
    assert reply.status_code == 200, reply.text
    return [int(one) for one in re.findall(r'aria-label="Row (\d+)"', reply.text)]


def every_row(client: TestClient, query: str) -> list[int]:
    """The numbers of the rows on all pages of a query, found by following "next"."""
    address, found = f"{TRAIN}?{query}", []
    while address:
        reply = client.get(address)
        found += shown_rows(reply)
        following = re.search(r'<a href="([^"]+)">next</a>', reply.text)
        address = following[1].replace("&amp;", "&") if following else ""
    return found


def test_every_split_is_listed_and_has_its_page(project: Project, client: TestClient) -> None:
    reply = client.get("/rows")
    found = check_harmless(reply.text)
    for split in splits_of_rows(project):
        assert split.path in found.addresses
        page = client.get(split.path)
        corpus = open_corpus(project.storage, split.dataset, split.split)
        assert shown_rows(page) == list(range(min(50, len(corpus))))
        assert f"{len(corpus):,} rows" in check_harmless(page.text).words
    assert "This is the sample" in found.words


def test_a_row_names_its_difficulty_as_its_assets_page_does(client: TestClient) -> None:
    said = [check_harmless(client.get(f"{TRAIN}/{row}").text).words for row in range(10)]
    assert any("7 (A)" in words for words in said)
    assert any("1 (easy)" in words for words in said)


KOREAN = {
    "/rows?lang=ko": (200, "카탈로그 sample의 분할 목록입니다."),
    f"{TRAIN}?class=correct&lang=ko": (200, "조건을 만족하는 행은 188개입니다."),
    f"{TRAIN}/3?lang=ko": (200, "3번 행"),
    f"{TRAIN}/3?lang=en": (200, "Row 3"),
    f"{TRAIN}/999?lang=ko": (404, "해당하는 행이 없습니다"),
    f"{TRAIN}?difficulty=x&lang=ko": (400, "주소를 해석할 수 없습니다"),
    "/rows/no/such?lang=ko": (404, "해당하는 분할이 없습니다"),
    "/rows/a/b/c/d?lang=ko": (404, "해당하는 페이지가 없습니다"),
    f"{TRAIN}?lang=kr": (400, "en or ko"),
    "/rows?lang=kr": (200, "The splits of the catalog sample."),
}


@pytest.mark.parametrize("address", KOREAN)
def test_rows_are_shown_in_the_language_that_is_asked_for(client: TestClient, address: str) -> None:
    status, said = KOREAN[address]
    reply = client.get(address)
    found = check_harmless(reply.text)
    assert (reply.status_code, said in found.words) == (status, True), found.words
    korean = address.endswith("ko")
    assert f'<html lang="{"ko" if korean else "en"}">' in reply.text
    inside = [one for one in found.addresses if one.startswith("/rows") and one != TRAIN]
    others = [one for one in inside if ("lang=ko" in one) != korean]
    assert len(others) == 1, "the link to the other language, and no other, leaves this one"
    assert korean == ("한국어" not in found.words), "each page names the other language in it"


def test_pages_forbid_everything_but_their_own_style(client: TestClient) -> None:
    for path in ("/rows", TRAIN, f"{TRAIN}/3", f"{TRAIN}?x=1", "/rows/no/such", "/rows/a/b/c/d"):
        reply = client.get(path)
        check_harmless(reply.text)
        assert reply.headers["content-security-policy"].endswith(policy())
        assert reply.headers["content-type"] == "text/html; charset=utf-8"
        assert reply.headers["cache-control"] == "no-store"
    assert client.post(TRAIN).status_code == 405


@pytest.mark.parametrize(
    ("query", "meets"),
    [
        ("", lambda row, _: True),
        ("class=incorrect", lambda row, _: not row["is_correct"]),
        ("difficulty=7", lambda row, _: row["metadata"]["difficulty"] == 7),
        ("difficulty=3-9&class=correct", lambda row, _: row["is_correct"]
            and 3 <= row["metadata"]["difficulty"] <= 9),
        ("flag=shared-name", lambda row, fact: fact["flags"] & FLAGS["shared-name"]),
        ("flag=none", lambda row, fact: not fact["flags"]),
        ("problem=5", lambda row, fact: fact["problem"] == 5),
        ("tokens=500-640&flag=none", lambda row, fact: 500 <= fact["tokens"] <= 640
            and not fact["flags"]),
        ("difficulty=30", lambda row, _: False),
        ("class=&difficulty=&tokens=&problem=&flag=&page=", lambda row, _: True),
    ],
)  # fmt: skip
def test_the_rows_of_a_query_are_those_that_the_files_hold(
    project: Project, client: TestClient, query: str, meets: Any
) -> None:
    corpus = open_corpus(project.storage, "codecontests", "train")
    tokens = corpus.column("total_tokens")
    wanted = []
    for number in range(len(corpus)):
        fact = {name: corpus.column(name)[number] for name in ("flags", "problem")}
        if meets(corpus[number], fact | {"tokens": tokens[number]}):
            wanted.append(number)
    assert every_row(client, query) == wanted


def test_bars_count_what_their_link_shows(project: Project, client: TestClient) -> None:
    reply = client.get(f"{TRAIN}?class=correct&difficulty=6-8")
    bars = re.findall(r'<a class="bar[^"]*" href="([^"]+)" aria-label="([^"]+)"', reply.text)
    assert len(bars) > 15
    for href, title in bars[::5]:
        query = href.replace("&amp;", "&").partition("?")[2]
        numbers = [
            int(one.replace(",", "")) for one in re.findall(r"[\d,]+(?= correct| rows)", title)
        ]
        assert len(every_row(client, query)) == sum(numbers), title
    # All difficulties are offered, also those that the query leaves out.
    assert any("difficulty=0" in href for href, _ in bars)


def test_counts_from_the_statistics_are_those_of_the_columns(project: Project) -> None:
    for split in splits_of_rows(project):
        receipt = project.store.current(split.artifact.name)
        assert receipt is not None
        corpus = open_corpus(project.storage, split.dataset, split.split)
        counted = Matches(corpus.row_index, RowQuery()).facets()
        if "stats" in receipt.facts:
            assert facets_of_all(receipt.facts["stats"]) == counted, split.path
        assert counted.rows == len(corpus)


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("difficulty=x", "difficulty"),
        ("difficulty=9-3", "the lower and the higher"),
        ("difficulty=-1", "difficulty"),
        ("tokens=1e3", "tokens"),
        ("tokens=٣", "tokens"),
        ("problem=99999999999999999999", "problem"),
        ("class=right", "correct or incorrect"),
        ("flag=1", "shared-name"),
        ("page=0", "a number from 1"),
        ("page=9", "a page from 1 to 8"),
        ("class=correct&class=incorrect", "more than once"),
        ("sort=difficulty", "no such parameter"),
        ("difficulty=%00%ff", "difficulty"),
        ("&".join(f"a{n}=1" for n in range(1000)), "no such parameter"),
        ("x=<script>alert(1)</script>", "no such parameter"),
        ("<script>alert(1)</script>=x", "no such parameter"),
    ],
)
def test_a_bad_parameter_gets_one_clear_answer(client: TestClient, query: str, said: str) -> None:
    reply = client.get(f"{TRAIN}?{query}")
    assert reply.status_code == 400
    found = check_harmless(reply.text)
    assert said in found.words
    assert "What to do" in found.words


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/rows/codecontests/none", 404),
        ("/rows/..%2f..%2fetc/passwd", 404),
        (f"{TRAIN}/381", 404),
        (f"{TRAIN}/-1", 400),
        (f"{TRAIN}/1.5", 400),
        (f"{TRAIN}/%00", 400),
        (f"{TRAIN}/99999999999999999999", 400),
        ("/rows/<script>/x", 404),
    ],
)
def test_what_is_not_there_is_said(client: TestClient, path: str, status: int) -> None:
    reply = client.get(path)
    assert reply.status_code == status
    check_harmless(reply.text)


def test_queries_are_written_as_they_are_read() -> None:
    choices: list[list[Any]] = [
        [None, "correct"], [None, (7, 7), (0, 11)], [None, (5, 90)], [None, 0, 12],
        [None, "none"], [1, 3],
    ]  # fmt: skip
    for values in itertools.product(*choices):
        query = RowQuery(*values)
        assert read_query(query.address("").removeprefix("?")) == query


def test_a_split_that_was_not_made_says_how_to_make_it(tmp_path: Path) -> None:
    reply = client_of(Project(load_catalog("sample"), tmp_path / "storage")).get(TRAIN)
    assert reply.status_code == 404
    words = check_harmless(reply.text).words
    assert "wmtp materialize datasets/codecontests_train" in words
    assert not (tmp_path / "storage").exists(), "looking makes nothing"


HOSTILE = (
    "</pre><script>alert(1)</script><img src=x onerror=alert(1)>",
    "{{ 7 * 7 }} {% for x in y %}",
    "' onmouseover=alert(1) \" autofocus",
    "right \u202e to left \u2066 isolated \u200b hidden \ufeff",
    "NUL \0 and escape \x1b[31m and \r and \x85",
    "a\u0301" + "\u0300" * 500,
    "x" * 1_200_000,
)


def test_hostile_rows_are_shown_and_do_nothing(tmp_path: Path) -> None:
    rows = [row(instruction=text, task_id=text[:900]) for text in HOSTILE]
    rows.append(row(**{"<b>field</b>": ["<i>", "\u202e"], "deep": {"<u>": "</script>"}}))
    broken = [
        b"not JSON <script>",
        b'["a list"]',
        b'{"instruction": "\xff\xfe"}',
        json.dumps(row(instruction="lone \ud800")).encode(),
        b'{"instruction": ' + b"[" * 100_000,
        b'{"number": ' + b"9" * 6000 + b"}",
    ]
    lines = [*map(encoded, rows), *broken, encoded(row())]
    plant(tmp_path, lines)
    client = client_of(Project(load_catalog("sample"), tmp_path))
    page = client.get(TRAIN)
    assert shown_rows(page) == list(range(len(lines)))
    assert len(page.text) < 200_000
    found = check_harmless(page.text)
    assert found.words.count("This line cannot be read") >= 4
    pages = [client.get(f"{TRAIN}/{number}") for number in range(len(lines))]
    assert {one.status_code for one in pages} == {200}
    words = [check_harmless(one.text).words for one in pages]
    assert HOSTILE[0] in words[0]
    assert HOSTILE[1] in words[1]
    assert "right U+202E to left U+2066 isolated U+200B hidden U+FEFF" in words[3]
    assert "NUL U+0000 and escape U+001B[31m and U+000D and U+0085" in words[4]
    assert f"{1_200_000 - SHOWN_CHARACTERS:,} more characters" in words[6]
    assert "<b>field</b>" in words[7]
    assert "What to do: wmtp verify --deep" in words[len(rows)]
    assert all("\u202e" not in one.text and "\0" not in one.text for one in [page, *pages])


def test_damage_is_named_with_what_to_do(tmp_path: Path) -> None:
    plant(tmp_path, [encoded(row())])
    client = client_of(Project(load_catalog("sample"), tmp_path))
    with (tmp_path / FOLDER / "train.jsonl").open("ab") as file:
        file.write(b"\n")
    for path in (TRAIN, f"{TRAIN}/0"):
        reply = client.get(path)
        assert reply.status_code == 503
        assert "Materialize the split again" in check_harmless(reply.text).words


def opened(folder: Path) -> list[str]:
    """What this process has open below a folder; other threads may open others meanwhile."""
    found = []
    for number in os.listdir("/proc/self/fd"):  # noqa: PTH208  (names, not paths)
        with suppress(FileNotFoundError):  # that of the listing itself
            found.append(os.readlink(f"/proc/self/fd/{number}"))  # noqa: PTH115
    return [path for path in found if Path(path).is_relative_to(folder)]


def test_answers_leave_no_file_open(project: Project, client: TestClient) -> None:
    addresses = (TRAIN, f"{TRAIN}?class=correct&page=9", f"{TRAIN}/3", f"{TRAIN}?difficulty=7")
    for address in addresses:
        client.get(address)
    gc.collect()
    storage = project.storage.resolve()
    before = opened(storage)
    with (project.storage / "assets.lock").open("rb"):
        assert len(opened(storage)) == len(before) + 1, "else this would find nothing"
    for address in addresses * 3:
        client.get(address)
    gc.collect()
    assert Counter(opened(storage)) <= Counter(before)


def test_rows_are_read_by_number_in_the_order_asked_for(project: Project) -> None:
    index = open_corpus(project.storage, "codecontests", "train").row_index
    whole = index.table(["offset", "problem"]).to_pylist()
    for rows in ([], [5], [380, 0, 7, 7, 12]):
        found = index.take(rows, ["offset", "problem"]).to_pylist()
        assert found == [whole[number] for number in rows]


def test_columns_of_a_split_that_was_made_again_are_read_again(tmp_path: Path) -> None:
    plant(tmp_path / "a", [encoded(row())] * 3, difficulty=[1, 2, 3])
    plant(tmp_path / "b", [encoded(row())] * 4, difficulty=[4, 4, 4, 5])
    index = tmp_path / "a" / FOLDER / "train.index.parquet"
    before = Matches(RowIndex(index), RowQuery()).facets()
    (tmp_path / "b" / FOLDER / "train.index.parquet").replace(index)
    after = Matches(RowIndex(index), RowQuery()).facets()
    assert list(before.difficulty) == [1, 2, 3]
    assert Counter({d: c[1] for d, c in after.difficulty.items()}) == {4: 3, 5: 1}


def test_the_reader_of_pages_sees_what_is_wrong() -> None:
    bad = "<p><b onclick=x>a</p><script></script><p style=x><meta http-equiv=refresh>"
    assert len(read_page(bad).faults) >= 6
