"""What it costs to have rows executed by Ray or by an array job instead of one process."""
