"""Our own HTML pages: the report to pass on, and the browser of rows.

    facts, tensor_ranges     what the report says, read from the storage
    report                   the report in English or Korean (`words/`), as one file
    row_query, row_facets    what a reader of rows asks for, and how many rows there are of what
    rows                     the pages of rows
    quality_facts, charts_of_quality, rate_chart
                             what is known of the quality of rows, and how it is drawn
    html, text, chart        templates, text of others made harmless, bars as SVG

Pages are whole documents as text, made from what the storage holds; they hold no script and ask for
nothing. How they are served and guarded is `web/`'s. Nothing here imports Dagster.
"""
