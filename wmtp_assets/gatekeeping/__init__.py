"""The word that is given on the files, and how it is kept: judged, verified, signed.

`proofs/` asks one artifact at a time; here the answers are put together, and it is said which
fetched files may go (`raw_files`). Files are read, and never Dagster's database.
"""
