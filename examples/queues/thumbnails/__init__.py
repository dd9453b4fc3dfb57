"""Thumbnails of a whole album: a bounded fan-out over real images, that says how far it is.

    python -m examples.queues.thumbnails

Then give it a folder of images, and look how far it is:

    curl -X POST localhost:8080/Album/holiday/run/send -H 'content-type: application/json' \
     -d '{"folder": "docs", "size": 64}'
    curl localhost:8080/Album/holiday/progress

Read `album` first; `resizer` makes one thumbnail.
"""

from __future__ import annotations

from examples.queues.thumbnails.album import Album
from examples.queues.thumbnails.resizer import Resizer
from restate_patterns import App

app = App([Album(), Resizer()], name="thumbnails")
