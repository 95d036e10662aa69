"""A catalog at work in one storage: how each artifact is made, checked and judged. No Dagster.

Belongs here: what is to be fetched and whether it changed (`upstream_files`), how a model is
converted (`conversion`), whether an artifact is stale (`recipes`, `staleness`), what one asset
hands to the next (`types`), what a run needs of the machine (`requirements`), the checks
(`checks/`), and what follows from them (`gate`, `verify`, `signing`, `unneeded_files`). How bytes
are fetched, converted or stored belongs to `hub/`, `checkpoints/`, `corpora/` and `storage/`.
"""

from wmtp_assets.artifacts.project import Project, open_project_hub

__all__ = ["Project", "open_project_hub"]
