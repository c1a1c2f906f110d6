"""``python -m swatchbook``: the command, for `torchrun` and where no script is on the path."""

import sys

from swatchbook.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
