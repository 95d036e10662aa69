"""Corpora: upstream's parquet made into training rows, checked, and read.

    formats/             one module per dataset format; `dataset_format` is its interface,
                         `solved_tasks` and `format_checks` are what several formats share
    schema               schema.json and card features, from a format's fields
    records              what every row has in common, and the rules for upstream's odd values
    parquet_file, columns                     upstream's shards, read by column name and type
    build, worker_pool, worker, formatting    problems to lines, on every core
    tokens, segments, model_file              token counts
    writer, row_index, report, metadata       what is written: lines, index, statistics, metadata
    problem_map, problem_metadata             rows by problem, and the current contract's metadata
    small_copy, card                          the small copy, and the card of a folder
    evaluation, evaluation_files, tests_file  problems with all of their tests, for evaluation
    checks, row_scan, row_validation          one pass over the rows, and what follows from it
    metadata_checks, problem_metadata_checks  the metadata files against the lines
    overlap                                   texts that splits share, by their hashes
    source_comparison, source_rows            the rows against upstream's shards
    reader, selection, samplers, bins, ...    any row at once, samples, views
    unique_pairs, data_sampling               pairs as training draws them, and its config block
    resume, torch_view                        passes that continue where they were interrupted

What belongs here is everything about rows. Which splits there are and where they come from is the
catalog's; how they are stored and published is `artifacts`' and `storage`'s. Nothing here imports
Dagster, and importing this package imports nothing heavy: pyarrow, numpy and SentencePiece come in
with the module that needs them.
"""
