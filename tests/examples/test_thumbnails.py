"""Thumbnails: real images on both backends, one broken file among them, and a crash at every point."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from PIL import Image

from examples.queues.thumbnails import app
from examples.queues.thumbnails.album import Album, AlbumRequest
from restate_patterns.testing import TestEnvironment, at_every_crash_point
from tests.support.engines.hosting import BACKENDS, backend_of

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]


def album_in(folder: Path, count: int) -> Path:
    """Draw images of several kinds and sizes, and put something else among them."""
    for number in range(count):
        mode = ("RGB", "RGBA", "L", "P")[number % 4]
        suffix = (".png", ".gif", ".tiff")[number % 3]
        Image.new(mode, (300 + number, 200)).save(folder / f"image-{number:02}{suffix}")
    (folder / "notes.txt").write_text("no image")
    return folder


@pytest.mark.parametrize("kind", BACKENDS)
async def test_an_album(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    folder = album_in(tmp_path, 10)
    async with app.start(backend_of(request, kind, tmp_path.parent)) as client:
        album = client.workflow_client(Album, tmp_path.name)
        report = await album.run(AlbumRequest(folder=str(folder), size=64))
        progress = await album.progress()
    assert report.failures == ["notes.txt is no image"]
    assert [Path(each).name for each in report.thumbnails] == [f"image-{number:02}-64.png" for number in range(10)]
    for thumbnail in report.thumbnails:
        with Image.open(thumbnail) as image:
            assert max(image.size) == 64
    assert (progress.total, progress.succeeded, progress.failed) == (11, 10, 1)


@at_every_crash_point(lambda: app, kinds=["commit", "after"])
async def test_whatever_crashes_each_image_has_its_thumbnail(env: TestEnvironment) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = album_in(Path(name), 3)
        report = await env.client.workflow_client(Album, "a").run(AlbumRequest(folder=str(folder)))
        assert len(report.thumbnails) == 3
        assert sorted((folder / "thumbnails").iterdir()) == [Path(each) for each in report.thumbnails]
