"""`python -m wmtp_assets.cli` is `wmtp`."""

from wmtp_assets.cli import main

if __name__ == "__main__":
    main()
