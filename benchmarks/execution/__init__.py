"""What it costs to judge a program, beside executing it without any of that."""
