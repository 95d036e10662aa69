"""What is found out about the rows of a corpus, which stay as they are.

    drawing       which rows of a split are executed
    labels        executes them, and gives one line for each
    answers       problems with several correct answers
    parsing       whether a program's text is Python 3
    child         a process that parses, and may be lost
    rates         how often labels hold, with intervals
    leaks         rows that hold what models are evaluated on
    figures       all figures of a split, for whoever states them

Pure functions over a corpus and Parquet files: no artifact and no Dagster here. How foreign
programs are run, and kept from doing harm, is in `execution/`.
"""
