"""What storages in a bucket withstand, and how fast they get there: see README.md."""
