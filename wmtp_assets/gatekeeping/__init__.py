"""The word that is given on the files, and how it is kept: verified, judged, signed, reported.

`proofs/` asks one artifact at a time; here the answers are put together. Files are read, and never
Dagster's database.
"""
