"""Benchmarks: what is found out about rows."""
