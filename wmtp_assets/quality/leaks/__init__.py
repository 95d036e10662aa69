"""Training rows that hold what models are evaluated on.

Nothing of upstream is executed: texts are compared, and parsed.

    references  the rows that are looked for
    tokens      texts as hashes of tokens
    index       which shingles make a text a candidate
    trees, parser, parsing    programs compared by their syntax trees, in a process of its own
    deciding    whether a candidate is a leak
    search      one pass over the rows
    table       what is found, as an annotation of the rows
"""
