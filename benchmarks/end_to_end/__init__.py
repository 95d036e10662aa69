"""A whole run, from fetching to the gate, at a size where it costs something."""
