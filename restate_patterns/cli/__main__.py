"""`python -m restate_patterns.cli`."""

from __future__ import annotations

import sys

from restate_patterns.cli.command import main

sys.exit(main())
