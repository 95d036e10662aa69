"""`python -m wmtp_assets.cli`: the same as `wmtp`."""

import sys

from wmtp_assets.cli import main

if __name__ == "__main__":
    sys.exit(main())
