"""Writing, checking and reading the tests of whole problems."""
