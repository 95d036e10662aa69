"""Pairs for training at upstream's full size, from the row index and from problem_index_map."""
