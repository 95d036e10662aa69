"""Where heavy, divisible work is done: in this process, on a Ray cluster, or by Slurm.

Work is divided into parts (`engine.Task`, plain data) that a function of this package turns into
results (plain data as well); whoever divides also joins, in order, so that what comes out does not
depend on where, how often or in how many parts it was worked on. `engine` has what engines share,
`local` and `on_ray` are two of them, `finished` keeps results by the contents of their tasks: what
Slurm's array jobs leave for `wmtp materialize` to join. What is divided, and how, is said beside
the work itself (`quality/judged_parts.py`).
"""
