"""``python -m tests.bench`` takes the figures."""

import sys

from tests.bench.run import main

if __name__ == "__main__":
    sys.exit(main())
