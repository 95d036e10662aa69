"""Writing and checking the metadata by problem at upstream's size."""
