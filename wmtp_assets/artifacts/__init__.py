"""A catalog at work in one storage: how each artifact is made, checked and judged. No Dagster.

`kinds` is the table to start from: one row per kind of artifact. Belongs here: how artifacts are
made (`making`, `make/`, and what these derive: `conversion`, `documents`, `schemas`), what is
fetched and whether it changed (`upstream_files`), whether an artifact is stale (`recipes`,
`staleness`), what readers get (`types`), what a run needs of the machine (`requirements`), the
checks (`checks/`), and what follows from them (`gate`, `verify`, `signing`, `released_weights`,
`unneeded_files`). How bytes are fetched, converted or stored belongs to `hub/`, `checkpoints/`,
`corpora/` and `storage/`.
"""

from wmtp_assets.artifacts.project import Project, open_project_hub

__all__ = ["Project", "open_project_hub"]
