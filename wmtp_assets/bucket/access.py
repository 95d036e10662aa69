"""How a bucket is reached: what its URL and the environment must be like, and what to say if not.

obstore takes credentials and addresses from the environment as they are, and ends with a panic
where a header or an address cannot be made of them. So they are looked at before.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping
from pathlib import Path, PurePath
from urllib.parse import SplitResult, unquote, urlsplit

from wmtp_assets.errors import WmtpError

SCHEMES = ("file", "s3", "gs", "az")
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_ROOT = re.compile(r":/+([^/@\s]*@)?")
_AS_A_PATH = re.compile(rf"({'|'.join(SCHEMES)}):/(?!/)(.+)")
_KEYS = {
    "s3": (
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_REGION",
        "AWS_DEFAULT_REGION",
    ),
    "gs": (),
    "az": ("AZURE_STORAGE_ACCOUNT_NAME", "AZURE_STORAGE_ACCOUNT_KEY"),
    "file": (),
}
_ENDPOINTS = ("AWS_ENDPOINT_URL", "AWS_ENDPOINT")
_PRINTED = re.compile(r"[!-~]([ -~]*[!-~])?")  # ASCII, without spaces around it
_NETLOC = re.compile(r"[A-Za-z0-9._-]+")
_HINTS = {
    "s3": "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION and AWS_ENDPOINT_URL say how s3:// "
    "is reached (an http:// one needs AWS_ALLOW_HTTP=true).",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS says how gs:// is reached.",
    "az": "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY say how az:// is reached.",
    "file": "see whether the folder is there (a push makes it), whether this user may write in it, "
    "and whether its disk has room.",
}
_FULL = re.compile(r"os error (28|122)\b|\b507 |QuotaExceeded|InsufficientStorage|StorageFull")
_NO_BUCKET = re.compile(r"NoSuchBucket|ContainerNotFound|The specified bucket does not exist")
_EXPIRED = re.compile(r"ExpiredToken|TokenRefreshRequired|ExpiredAuthenticationToken")
_CUT = re.compile(r"request or response body error|ill-formed document")
_CODE = re.compile(r"<Code>([^<]{1,100})</Code>")
_MESSAGE = re.compile(r"<Message>([^<]{1,300})</Message>")
_USER = re.compile(r"//[^/@\s]*@")


class BucketError(WmtpError):
    """A bucket cannot be reached, or does not hold what this package writes."""


def hint_for(url: str) -> str:
    """How buckets of the scheme of this URL are reached."""
    return _HINTS[urlsplit(url).scheme]


def remedy(url: str, said: str) -> str:
    """What to do about a refusal, by what the store or the disk said."""
    scheme, again = urlsplit(url).scheme, "Then run it again: what has arrived is not sent again."
    if _FULL.search(said):
        where = "on that disk" if scheme == "file" else "in the bucket, or have its quota raised"
        removes = f"`wmtp gc {shlex.quote(url)}` removes what no edition needs"
        return f"make room {where}: {removes}. {again}"
    if scheme != "file" and _NO_BUCKET.search(said):
        return "correct the URL, or make the bucket with the provider's own tool: this makes none."
    if is_cut(said):
        return f"see what ends connections before an answer is whole, such as a proxy. {again}"
    if "RequestTimeTooSkewed" in said:
        return f"set this machine's clock: it differs from the server's. {again}"
    if _EXPIRED.search(said):
        return f"the credentials in the environment have expired: set new ones. {again}"
    if "object with invalid path" in said:
        return "remove the object of this name: it is none of ours, and cannot be listed."
    return f"{hint_for(url)} {again}"


def is_cut(said: str) -> bool:
    """Whether an answer ended in its middle, by what obstore said."""
    return _CUT.search(said) is not None


def is_url(text: str) -> bool:
    """Whether this is a URL, of whatever scheme; a path is none."""
    return _URL.match(text) is not None


def bucket_url(given: str | PurePath) -> str | None:
    """`given` where that is a URL, of whatever scheme; None where it is a path.

    Raises BucketError where it was a URL and has become a path, which has one slash for two; but
    for a path that is there.
    """
    url = _meant(given)
    if url is None or url is given:
        return url
    shown = _without_user(url)
    raise BucketError(
        "This was the URL of a bucket, and has lost a slash: a URL cannot be a Path",
        expected=f'the text "{shown}"',
        found=f"{type(given).__name__} {_ROOT.sub(':/', str(given), count=1)}",
        hint=f'give "{shown}", as a str.',
    )


def require_path(given: str | PurePath, hint: str) -> None:
    """Raises BucketError, with this hint, where `given` is or was the URL of a bucket."""
    if (url := _meant(given)) is not None:
        raise BucketError(
            "This is the URL of a bucket, where a path is needed",
            expected="the path of a folder",
            found=_without_user(url),
            hint=hint,
        )


def _meant(given: str | PurePath) -> str | None:
    """The URL that was meant; None where it is a path."""
    text = str(given)
    if is_url(text):  # a Path never is
        return text
    lost = _AS_A_PATH.fullmatch(text)
    if lost is None or os.path.lexists(text):
        return None
    return f"{lost[1]}://{'/' * (lost[1] == 'file')}{lost[2]}"


def _without_user(url: str) -> str:
    return _USER.sub("//", url)


def checked_url(url: str) -> SplitResult:
    """The parts of a bucket's URL. Raises BucketError where it is none."""
    url = bucket_url(url) or str(url)
    parts = urlsplit(url)
    bad = parts.query or parts.fragment or not url.isprintable() or url != url.strip()
    netloc = not parts.netloc if parts.scheme == "file" else _NETLOC.fullmatch(parts.netloc)
    path = parts.path.strip("/")
    if parts.scheme not in SCHEMES or bad or not netloc or (parts.scheme == "file" and not path):
        raise BucketError(
            "This is not the URL of a bucket or of a folder in one",
            expected="s3://BUCKET/FOLDER, gs://BUCKET/FOLDER, az://CONTAINER/FOLDER or "
            "file:///PATH, without credentials",
            found=f"{f'{parts.scheme}://' * bool(parts.scheme)}{parts.netloc.rpartition('@')[2]}"
            f"{parts.path}",
            hint=f"a folder is named by {Path(url).as_uri()}."
            if url.startswith("/")
            else "give a URL of this form; credentials belong into the environment.",
        )
    return parts


def folder_of(url: str) -> Path | None:
    """The folder of a `file://` URL; None where it is another."""
    parts = checked_url(url)
    return Path(unquote(parts.path)) if parts.scheme == "file" else None


def plain_http(scheme: str, environment: Mapping[str, str] = os.environ) -> bool:
    """Whether requests without TLS are allowed. Raises BucketError where a variable by which
    buckets of this scheme are reached has invalid characters; no value is shown."""
    for name in _KEYS[scheme]:
        if not _PRINTED.fullmatch(environment.get(name) or "unset"):
            raise BucketError(
                f"{name} contains characters that it cannot contain",
                expected="printable ASCII characters",
                found="a space or line break around it, or other characters",
                hint="set it again, without spaces or line breaks around it.",
            )
    allowed = environment.get("AWS_ALLOW_HTTP", "").strip().lower() in ("1", "true")
    for name in _ENDPOINTS if scheme == "s3" else ():
        if given := environment.get(name):
            _require_address(name, given, allowed)
    return allowed


def _require_address(name: str, given: str, plain: bool) -> None:
    try:
        parts = urlsplit(given)
        address = parts.hostname and parts.port != 0 and _PRINTED.fullmatch(given)
    except ValueError:  # of the port
        parts, address = urlsplit(""), None
    if not address or " " in given or parts.scheme not in ("http", "https"):
        found = "another text"
    elif "@" in parts.netloc:
        found = "credentials in it"
    elif parts.scheme == "http" and not plain:
        found = "an http:// address, and AWS_ALLOW_HTTP is not set"
    else:
        return
    raise BucketError(
        f"{name} is not the address of a server",
        expected="https://HOST, or http://HOST:PORT and AWS_ALLOW_HTTP=true",
        found=found,
        hint="set it to an address of this form; credentials belong into AWS_ACCESS_KEY_ID and "
        "AWS_SECRET_ACCESS_KEY.",
    )


def brief(error: BaseException) -> str:
    """What obstore says, in one line: what the server answered, without the inner structure."""
    text = str(error)
    line = text.partition("\n")[0].partition("<")[0].strip()
    said = [found[1] for one in (_CODE, _MESSAGE) if (found := one.search(text))]
    return _USER.sub("//", " ".join([line, *said])[:500])


def is_panic(error: BaseException) -> bool:
    """Whether obstore ended with a panic, which is no Exception."""
    return type(error).__name__ == "PanicException"
