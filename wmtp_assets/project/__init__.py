"""A catalog at work: its storage and its source of bytes, and what is to be made there.

Here the catalog's words meet the rooms that do the work: what is taken from upstream and whether it
changed (`upstream`), how a model is to be converted (`plans`), whether an artifact must be made
again (`recipes`, `staleness`), what one asset hands to the next (`handles`), what a run needs of
the machine (`needs`), and which fetched weights were let go (`released`). No Dagster.
"""

from wmtp_assets.project.project import Project, open_project_hub

__all__ = ["Project", "open_project_hub"]
