"""Seeded fuzzers, one for each format that is read from strangers.

Each is an ordinary test with the mark `fuzz`: two seconds in the suite, longer in `make fuzz`.
A fuzzer is a function of a `random.Random` that makes one input and reads it (`harness.fuzz`). An
input may be read with the values that an independent reader gives, or be refused with an error of
this package; anything else fails the test, and the message says how to repeat that one input.
What a fuzzer has found becomes a small fixed test beside the reader's other tests.
"""
