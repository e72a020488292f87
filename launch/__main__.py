"""`python -m launch` is the console command `avsync`."""

import sys

from launch.cli import main

sys.exit(main())
