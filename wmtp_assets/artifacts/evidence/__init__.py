"""What goes with the files when they are passed on: cards in the Hub's format, and Croissant.

Everything here is a pure function of the catalog and of what documents and receipts state. Words of
others are escaped, and nothing is stated that neither of them says.
"""
