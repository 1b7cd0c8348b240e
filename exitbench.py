"""The `bench` command, whatever lies in the current directory.

A folder called `models` or `strategies` there, or on PYTHONPATH, would be imported in place of ours, so ours are
imported first.
"""

import sys
from importlib import import_module
from pathlib import Path

PACKAGES = ("bench", "strategies", "models")


def main() -> None:
    """Import the packages beside this file, then run the command line. The search path stays as it was."""
    root = str(Path(__file__).absolute().parent)
    sys.path.insert(0, root)
    try:
        for name in PACKAGES:
            import_module(name)
    finally:
        sys.path.remove(root)
    import_module("bench.cli").main()


if __name__ == "__main__":
    main()
