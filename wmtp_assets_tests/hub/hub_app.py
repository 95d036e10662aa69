"""The Hub's HTTP as an ASGI application.

It speaks what huggingface_hub 2.4 and `datasets` ask for (repository info with file metadata and
LFS digests, tree, paths-info, refs, resolve with HEAD and Range), so that both work against it
unmodified. LFS files are redirected to a second origin with a signed, expiring address, as the
public Hub does. What goes wrong on the way is decided by `world.py`.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from urllib.parse import unquote

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from wmtp_assets_tests.hub import answers
from wmtp_assets_tests.hub.wire import (
    abort,
    begin,
    has_hung_up,
    until_it_hangs_up,
    until_it_has_arrived,
)
from wmtp_assets_tests.hub.world import Fault, HubFile, Repo, Seen, World

_RANGE = re.compile(r"bytes=(\d+)-(\d*)")
_SIGNATURE_LIFE = 3600


class _Refused(Exception):  # noqa: N818 - an answer, not an error
    def __init__(self, status: int, code: str | None, message: str, **headers: str) -> None:
        self.answer = JSONResponse({"error": message}, status)
        self.answer.headers.update({name.replace("_", "-"): v for name, v in headers.items()})
        self.answer.headers["x-error-message"] = message
        if code:
            self.answer.headers["x-error-code"] = code


class HubApp:
    """Answers one request, to the Hub or to the storage host, which is at `storage_origin`."""

    def __init__(self, world: World, storage_origin: str) -> None:
        self.world = world
        self.storage_origin = storage_origin

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        with self.world.answering():
            await self._answer_any(scope, receive, send)

    async def _answer_any(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        parts = [unquote(part) for part in scope["raw_path"].decode().strip("/").split("/")]
        try:
            if parts[0] == "storage":
                await self._storage(request, parts, send)
                return
            if parts[0] == "api":
                answer = await self._api(request, parts[1:])
            else:
                await self._resolve(request, parts, send)
                return
        except _Refused as refused:
            answer = refused.answer
        self._record(request, "/".join(parts), answer.status_code, len(answer.body))
        await answer(scope, receive, send)

    def _record(self, request: Request, path: str, status: int, sent: int) -> None:
        headers = request.headers
        self.world.record(
            Seen(
                request.method,
                headers.get("host", ""),
                path,
                headers.get("authorization"),
                headers.get("range"),
                headers.get("if-range"),
                status,
                sent,
            )
        )

    # The API.

    async def _api(self, request: Request, parts: list[str]) -> Response:
        if parts == ["whoami-v2"]:
            if self._token(request) is None:
                raise _Refused(401, None, "Invalid username or password.")
            return JSONResponse({"type": "user", "name": "tester", "auth": {}})
        kind, name, rest = parts[0].removesuffix("s"), "/".join(parts[1:3]), parts[3:]
        repo = self._repo(request, kind, name)
        match rest:
            case ["refs"]:
                branches = [
                    {"name": name, "ref": f"refs/heads/{name}", "targetCommit": sha}
                    for name, sha in repo.refs.items()
                ]
                return JSONResponse({"branches": branches, "converts": [], "tags": []})
            case ["tree", revision, *folder]:
                _, files = self._commit(repo, revision)
                return self._tree(request, files, "/".join(folder))
            case ["paths-info", revision]:
                _, files = self._commit(repo, revision)
                asked = await self._asked_paths(request)
                entries = [answers.entry(path, files[path]) for path in asked if path in files]
                entries += [
                    answers.folder(path)
                    for path in asked
                    if any(file.startswith(f"{path}/") for file in files)
                ]
                return JSONResponse(entries)
            case [] | ["revision", _]:
                revision = rest[1] if rest else "main"
                if fault := self.world.fault(name, "429", "503"):
                    raise _Refused(int(fault.kind), None, "busy", retry_after=fault.retry_after)
                sha, files = self._commit(repo, revision)
                sha = sha if self.world.sha is None else self.world.sha
                said = answers.info(name, repo, sha, files, request.query_params)
                let_in = name in self.world.tokens.get(self._token(request) or "", set())
                if self.world.hides and repo.gated and not let_in:
                    answers.hide_digests(said)
                return JSONResponse(said)
        raise _Refused(404, None, "no such page")

    @staticmethod
    async def _asked_paths(request: Request) -> list[str]:
        if "json" in request.headers.get("content-type", ""):
            value = (await request.json())["paths"]
        else:
            value = (await request.form()).getlist("paths")
        return [value] if isinstance(value, str) else [str(path) for path in value]

    def _tree(self, request: Request, files: dict[str, HubFile], folder: str) -> Response:
        prefix = f"{folder}/" if folder else ""
        inside = {path: file for path, file in files.items() if path.startswith(prefix)}
        if folder and not inside:
            raise _Refused(404, "EntryNotFound", f"{folder} does not exist")
        recursive = request.query_params.get("recursive", "").lower() in ("true", "1")
        folders = {
            "/".join(path.split("/")[:depth])
            for path in inside
            for depth in range(prefix.count("/") + 1, path.count("/") + 1)
        }
        entries = [answers.folder(path) for path in sorted(folders)]
        entries += [answers.entry(path, file) for path, file in sorted(inside.items())]
        if not recursive:
            entries = [e for e in entries if "/" not in str(e["path"])[len(prefix) :]]
        first, page = int(request.query_params.get("cursor", "0")), 50
        answer = JSONResponse(entries[first : first + page])
        if first + page < len(entries):
            onward = request.url.include_query_params(cursor=first + page)
            answer.headers["link"] = f'<{onward}>; rel="next"'
        return answer

    # Who may see what.

    def _token(self, request: Request) -> str | None:
        header = request.headers.get("authorization")
        if header is None:
            return None
        token = header.removeprefix("Bearer ")
        if token not in self.world.tokens:
            raise _Refused(401, None, "Invalid credentials in Authorization header")
        return token

    def _repo(self, request: Request, kind: str, name: str) -> Repo:
        token = self._token(request)
        name = self.world.renamed.get((kind, name), name)
        repo = self.world.repos.get((kind, name))
        if repo is None:
            raise _Refused(404 if token else 401, "RepoNotFound", "Repository not found")
        if repo.disabled:
            raise _Refused(403, None, "Access to this resource is disabled.")
        return repo

    @staticmethod
    def _commit(repo: Repo, revision: str) -> tuple[str, dict[str, HubFile]]:
        found = repo.at(revision)
        if found is None:
            raise _Refused(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return found

    def _gate(self, request: Request, repo: Repo, name: str) -> None:
        token = self._token(request)
        if repo.gated and token is None:
            raise _Refused(401, "GatedRepo", f"Access to {name} is restricted. Please log in.")
        if repo.gated and name not in self.world.tokens.get(token or "", set()):
            raise _Refused(
                403, "GatedRepo", f"Access to {name} is restricted: not in the authorized list."
            )

    # The bytes.

    async def _resolve(self, request: Request, parts: list[str], send: Send) -> None:
        kind = "dataset" if parts[0] == "datasets" else "model"
        parts = parts[1:] if kind == "dataset" else parts
        if len(parts) < 5 or parts[2] != "resolve":
            raise _Refused(404, None, "no such page")
        name, revision, path = "/".join(parts[:2]), parts[3], "/".join(parts[4:])
        if (kind, name) in self.world.renamed:
            onward = request.url.path.replace(name, self.world.renamed[kind, name])
            raise _Refused(307, None, "renamed", location=onward)
        self._refuse(request, path)
        repo = self._repo(request, kind, name)
        sha, files = self._commit(repo, revision)
        if path not in files:
            raise _Refused(404, "EntryNotFound", f"{path} does not exist on {revision}")
        self._gate(request, repo, name)
        file = files[path]
        headers = {"x-repo-commit": sha, "accept-ranges": "bytes"}
        if request.method == "HEAD":
            await self._spoil_head(path, headers, send)
        if file.lfs:
            expires = int(time.time()) + _SIGNATURE_LIFE
            where = f"/storage/{file.sha256}?Expires={expires}&Signature=secret-signature"
            size = file.size + (1 if headers.pop("lie", None) else 0)
            headers |= {
                "etag": f'"{file.blob_id}"',
                "x-linked-etag": f'"{file.sha256}"',
                "x-linked-size": str(size),
                "location": self.storage_origin + where,
            }
            if self.world.xet:
                headers |= self._xet(name, revision, file)
            await self._answer(request, path, send, 302, headers, b"")
        else:
            lie = 1 if headers.pop("lie", None) else 0
            await self._serve(request, path, file, headers, send, lie)

    def _xet(self, name: str, revision: str, file: HubFile) -> dict[str, str]:
        """What the Hub adds for a client that would rather fetch chunks from its Xet storage."""
        token = f"{self.storage_origin}/api/models/{name}/xet-read-token/{revision}"
        chunks = f"{self.storage_origin}/v1/reconstructions/{file.sha256}"
        return {
            "x-xet-hash": file.sha256[::-1],  # another hash than the SHA-256
            "x-xet-refresh-route": token,
            "link": f'<{token}>; rel="xet-auth", <{chunks}>; rel="xet-reconstruction-info"',
        }

    def _refuse(self, request: Request, path: str) -> None:
        refusals: dict[str, tuple[int, str | None, str]] = {
            "401": (401, None, "who are you?"),
            "403 gated": (403, "GatedRepo", "not in the authorized list"),
            "403 bare": (403, None, "no"),
            "404 repo": (404, "RepoNotFound", "Repository not found"),
            "404 revision": (404, "RevisionNotFound", "Invalid rev id"),
            "404 file": (404, "EntryNotFound", "no such entry"),
            "404 bare": (404, None, "not here"),
        }
        if fault := self.world.fault(path, *refusals):
            status, code, message = refusals[fault.kind]
            # An upstream that quotes what it was sent must not make us print it.
            raise _Refused(status, code, f"{message} ({request.headers.get('authorization')})")

    async def _spoil_head(self, path: str, headers: dict[str, str], send: Send) -> None:
        if self.world.fault(path, "500 on HEAD"):
            raise _Refused(500, None, "something broke")
        if self.world.fault(path, "stall on HEAD"):
            await until_it_hangs_up(send)
        if self.world.fault(path, "another commit"):
            headers["x-repo-commit"] = "f" * 40
        if self.world.fault(path, "no commit"):
            del headers["x-repo-commit"]
        if self.world.fault(path, "size that lies"):
            headers["lie"] = "1"

    async def _storage(self, request: Request, parts: list[str], send: Send) -> None:
        found = self.world.find(parts[1])
        expires = int(request.query_params.get("Expires", "0"))
        if found is None or expires < time.time():
            raise _Refused(403, None, "Request has expired")
        if request.headers.get("authorization"):
            raise _Refused(400, None, "Only one auth mechanism allowed")
        path, file = found
        if self.world.fault(path, "expired"):
            raise _Refused(403, None, "Request has expired")
        await self._serve(request, path, file, {"accept-ranges": "bytes"}, send, 0)

    async def _serve(
        self,
        request: Request,
        path: str,
        file: HubFile,
        headers: dict[str, str],
        send: Send,
        lie: int,
    ) -> None:
        if request.method == "HEAD":
            headers |= {"etag": file.etag, "content-length": str(file.size + lie)}
            await self._answer(request, path, send, 200, headers, b"")
            return
        if fault := self.world.fault(path, "429", "503"):
            raise _Refused(int(fault.kind), None, "busy", retry_after=fault.retry_after)
        asked = _RANGE.fullmatch(request.headers.get("range", ""))
        if asked and self.world.fault(path, "416"):
            raise _Refused(416, None, "no such range")
        start, stop, status = 0, file.size, 200
        fresh = request.headers.get("if-range") in (None, file.etag)
        if asked and fresh and not self.world.fault(path, "range ignored"):
            start = int(asked[1])
            stop = min(int(asked[2]) + 1 if asked[2] else file.size, file.size)
            if start >= stop:
                raise _Refused(416, None, "no such range")
            status = 206
            headers["content-range"] = f"bytes {start}-{stop - 1}/{file.size}"
        headers |= {"etag": self.world.etag or file.etag, "content-length": str(stop - start)}
        fault = self.world.fault(
            path, "flip", "truncate", "short", "overrun", "long", "reset", "stall", "trickle",
            "new etag", "replaced", "gzip",
        )  # fmt: skip
        await self._stream(request, path, file, (start, stop), status, headers, send, fault)

    async def _stream(
        self,
        request: Request,
        path: str,
        file: HubFile,
        span: tuple[int, int],
        status: int,
        headers: dict[str, str],
        send: Send,
        fault: Fault | None,
    ) -> None:
        start, stop = span
        kind = fault.kind if fault else ""
        if kind == "short":
            stop = max(start, stop - 1)
            headers["content-length"] = str(stop - start)
            if status == 206:
                headers["content-range"] = f"bytes {start}-{stop - 1}/{file.size}"
        elif kind == "long":
            headers["content-length"] = str(stop - start + 1)
        elif kind == "overrun":
            del headers["content-length"]
        elif kind == "gzip":
            headers["content-encoding"] = "gzip"
        await begin(send, status, headers)
        sent = 0
        try:
            async for chunk in self._chunks(file, start, stop, fault, send):
                if chunk is None:
                    abort(send)
                    return
                while not self.world.may_send(len(chunk)) and not has_hung_up(send):
                    await asyncio.sleep(0.002)
                if has_hung_up(send):
                    return  # else uvicorn swallows the rest, and it would be counted as sent
                sent += len(chunk)
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            if kind == "truncate":
                abort(send, gently=True)
                return
            if kind in ("overrun", "long"):
                await send({"type": "http.response.body", "body": b"!", "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        finally:
            if kind in ("new etag", "replaced"):
                self._change(path, file, kind)
            self._record(request, path, status, sent)

    async def _chunks(
        self, file: HubFile, start: int, stop: int, fault: Fault | None, send: Send
    ) -> AsyncIterator[bytes | None]:
        """The bytes of a range as the fault has them; None where the connection is to break."""
        kind, at = (fault.kind, fault.at) if fault else ("", 0)
        breaks = kind in ("reset", "stall", "new etag", "replaced", "truncate")
        end = max(start, min(stop, start + at)) if breaks else stop
        if kind == "truncate" and at == 0:
            end = max(start, stop - 1)
        position = start
        while position < end:
            if kind == "trickle":
                await asyncio.sleep(0.05)
            if self.world.pace:
                await asyncio.sleep(self.world.pace)
            count = 1 if kind == "trickle" else self.world.chunk
            chunk = file.read(position, min(count, end - position))
            middle = start + (stop - start) // 2
            if kind == "flip" and position <= middle < position + len(chunk):
                spoiled = bytearray(chunk)
                spoiled[middle - position] ^= 1
                chunk = bytes(spoiled)
            position += len(chunk)
            yield chunk
        if kind == "stall":
            await until_it_hangs_up(send)
        if kind in ("reset", "stall", "new etag", "replaced"):
            await until_it_has_arrived(send)  # a reset drops what has not
            yield None

    def _change(self, path: str, file: HubFile, kind: str) -> None:
        if kind == "new etag":
            self.world.replace(path, replace(file, etag_suffix=file.etag_suffix + "x"))
        else:
            content = file.read(0, file.size)
            self.world.replace(path, HubFile.of(content[::-1], lfs=file.lfs))

    async def _answer(
        self,
        request: Request,
        path: str,
        send: Send,
        status: int,
        headers: dict[str, str],
        body: bytes,
    ) -> None:
        self._record(request, path, status, len(body))
        await begin(send, status, headers)
        await send({"type": "http.response.body", "body": body})
