"""Ways to bring the same files into a bucket, each as a whole process.

`python -m benchmarks.bucket.ways push|plain|pull|verify ROOT URL`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from wmtp_assets_tests.bucket.small import Small


def push(root: Path, url: str) -> int:
    """`wmtp push`, without looking for what a catalog publishes."""
    return Small(root).push(url).bytes


def plain(root: Path, url: str) -> int:
    """obstore's own put of every file, as it is by default: in parts, twelve at once."""
    import obstore
    from obstore.store import from_url

    store = from_url(url, **({"mkdir": True} if url.startswith("file:") else {}))
    files = sorted(set(Small(root).edition()[1].values()))
    for number, path in enumerate(files):
        obstore.put(store, f"{number}-{path.name}", path)
    return sum(path.stat().st_size for path in files)


def pull(root: Path, url: str) -> int:
    """`wmtp pull`."""
    return Small(root).pull(url).bytes


def verify(root: Path, url: str) -> int:
    """`wmtp verify URL`."""
    from wmtp_assets.bucket import Bucket
    from wmtp_assets.bucket import verify as verified

    return verified(Bucket(url)).size


if __name__ == "__main__":
    way, storage, place = sys.argv[1:]
    print(json.dumps({"bytes": globals()[way](Path(storage), place)}))
