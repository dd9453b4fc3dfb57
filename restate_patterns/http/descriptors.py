"""How many connections this process may have: what the system allows, less what is open and what files will need."""

from __future__ import annotations

import resource
from pathlib import Path

from restate_patterns.limits import DESCRIPTORS_MAX, DESCRIPTORS_RESERVED


def connections_allowed() -> int:
    """Raise the soft limit on open files as far as the hard one lets, and give what is left for connections."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS_MAX if hard == resource.RLIM_INFINITY else min(hard, DESCRIPTORS_MAX)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
        except (ValueError, OSError):  # some systems have a lower limit that they do not tell
            pass
    allowed = DESCRIPTORS_MAX if soft == resource.RLIM_INFINITY else min(soft, DESCRIPTORS_MAX)
    open_now = sum(1 for _ in Path("/dev/fd").iterdir())
    return max(2, allowed - open_now - min(DESCRIPTORS_RESERVED, allowed // 4))
