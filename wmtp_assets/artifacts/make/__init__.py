"""How each kind of artifact is made: functions of its project, its inputs and an empty folder.

`kinds.py` names the function of each kind, `making.py` calls it. Each fills the folder it is given
and returns what goes into the receipt; whether anything has to be made, locks, and commits are no
business of theirs. What happens to the bytes is in `checkpoints/`, `corpora/` and `hub/`.
"""
