"""`python -m rating_exporters` is the console script `rating-exporters`."""

import sys

from .cli import main

sys.exit(main())
