"""How soon a page of rows is answered at upstream's full size."""
