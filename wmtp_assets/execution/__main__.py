"""Prints what this machine offers to confine programs; exit status 1 where it is not enough."""

from __future__ import annotations

import sys

from .confinement import ConfinementError, available


def main() -> int:
    """See the module."""
    try:
        means = available()
    except ConfinementError as error:
        print(error, file=sys.stderr)
        return 1
    kinds = {"": "none", "plain": "made by root", "user": "user namespaces"}
    users = {"own": "a new user each", "nobody": "nobody", "same": "this user"}
    print(f"Landlock: {f'version {means.landlock}' if means.landlock else 'none'}")
    print(f"namespaces: {kinds[means.namespaces]}")
    print(f"programs run as: {users[means.users]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
