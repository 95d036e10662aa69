"""Sources of files: the Hugging Face Hub, or a directory laid out like it.

huggingface_hub is asked for tokens, names and URLs; requests and bytes are ours: every phase of a
request has a deadline, and `fetch.py` hashes bytes as they arrive, resumes, retries, and lets a
file appear under its name only when its size and digest are what the Hub or the catalog states. A
directory mirror goes through the same code. Importing a module of this package imports no HTTP
client until a remote Hub is opened. Not here: which files are wanted (the catalog), what is made of
them, Dagster.

- `files.py`      the types: `RepoId`, `RemoteFile`, `WantedFile`, `Fetched`
- `names.py`      which names from upstream may become paths
- `source.py`     `Hub`, what both kinds of source can do, and `open_hub`
- `remote.py`     the Hub over HTTP;  `directory.py`  the Hub as a folder
- `wire.py`       one request with its deadlines;  `addresses.py` redirects, and who gets the token;
                  `client_settings.py` token, proxies and certificates;  `api.py` the API's answers;
                  `headers.py` which response headers are trusted
- `aside.py`      moves what is unreadable out of the way
- `refusals.py`   every way of being refused, and what to do about each
- `fetch.py`      `fetch`: the one door;  `transfer.py` one file;  `partial.py` bytes on disk;
                  `retry.py` when to try again
- `lock.py`       assets.lock;  `mirror.py`, `drift.py`, `doctor.py`  what is built on these
"""
