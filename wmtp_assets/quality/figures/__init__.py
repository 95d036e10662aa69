"""The figures on the quality of a split, read from its files, for whoever states them.

    split      all of them, and the same as a JSON document
    funnel     what became of upstream's solutions, beside what a publication states
    scales     difficulties by source, lengths by class: from the row index
    labels     what executing rows gave, by the document of rates
    leaks      pairs of a row and a text of an evaluation set
    clusters   near-duplicates
    footer     what annotations state of themselves

The asset pages, the report and `wmtp report --json` state these and compute none of their own.
"""
