"""What an annotation's key-value metadata states beside `about`."""

from __future__ import annotations

from wmtp_assets.corpora.annotations import AnnotationFile


def stated_counts(file: AnnotationFile, name: str) -> dict[str, int]:
    """The whole numbers of one of the file's statistics; none where it states no such thing."""
    statistics = file.facts.get("statistics")
    stated = statistics.get(name) if isinstance(statistics, dict) else None
    if not isinstance(stated, dict):
        return {}
    return {str(key): value for key, value in stated.items() if type(value) is int}
