"""Owns the folder in which a server keeps its data: who uses it, which cluster it is of, what is where.

    BASE/cluster.json         the name and the shape of the cluster
    BASE/node-1/restate.toml  the configuration of a node, written at each start
    BASE/node-1/restate.log   what the node printed
    BASE/node-1/data          what the server stores

Nodes find each other by ports that are part of their data, so these stay the same for ever.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import tempfile
import uuid
from collections.abc import Generator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO, Final

from restate_patterns.server.config import ServerConfig
from restate_patterns.server.errors import DataDirectoryError
from restate_patterns.server.ports import free_ports
from restate_patterns.server.release import VERSION

_FILE: Final = "cluster.json"
_LOCK: Final = "cluster.lock"


@dataclass(frozen=True, slots=True)
class ClusterIdentity:
    """What stays the same over all starts of a cluster.

    Args:
        cluster_name: Its name, different from any other's: who answers with it is this cluster.
        node_ports: The ports by which its nodes find each other.
        version: The server that wrote the data first.
    """

    cluster_name: str
    node_ports: tuple[int, ...]
    version: str


@contextlib.contextmanager
def data_directory(config: ServerConfig) -> Generator[tuple[Path, ClusterIdentity]]:
    """Hold a server's folder for as long as the block lasts; a temporary one is removed at its end.

    Raises:
        DataDirectoryError: Another process uses it, it cannot be written, or its data are of a cluster of
            another size.
    """
    with contextlib.ExitStack() as stack:
        if config.base_dir is None:
            temporary = tempfile.TemporaryDirectory(prefix="restate-server-", ignore_cleanup_errors=True)
            directory = Path(stack.enter_context(temporary))
        else:
            directory = config.base_dir
        directory = directory.resolve()
        stack.enter_context(_owned(directory))
        yield directory, _identity(directory, config)


@contextlib.contextmanager
def _owned(directory: Path) -> Generator[None]:
    try:
        directory.mkdir(parents=True, exist_ok=True)
        lock: BinaryIO = (directory / _LOCK).open("a+b")
    except OSError as error:
        raise DataDirectoryError(
            f"cannot write to the data directory {directory} ({error.strerror}): choose another one"
        ) from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            owner = lock.read(100).decode(errors="replace").strip() or "another process"
            raise DataDirectoryError(
                f"{owner} runs a server on the data directory {directory}: stop it, or choose another directory"
            ) from None
        lock.truncate(0)
        lock.write(f"process {os.getpid()}\n".encode())
        lock.flush()
        yield


def _identity(directory: Path, config: ServerConfig) -> ClusterIdentity:
    file = directory / _FILE
    if not file.exists():
        identity = ClusterIdentity(f"local-{uuid.uuid4().hex}", tuple(free_ports(config.nodes)), VERSION)
        # Whole or not at all: without it the data beside it have no name.
        written = file.with_suffix(".new")
        written.write_text(json.dumps(asdict(identity), indent=2) + "\n", encoding="utf-8")
        written.rename(file)
        return identity
    try:
        read = json.loads(file.read_text(encoding="utf-8"))
        ports = tuple(int(port) for port in read["node_ports"])
        identity = ClusterIdentity(str(read["cluster_name"]), ports, str(read["version"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataDirectoryError(f"{file} cannot be read ({error}): choose another data directory") from None
    if len(identity.node_ports) != config.nodes:
        count = len(identity.node_ports)
        raise DataDirectoryError(
            f"the data in {directory} are of {count} {'node' if count == 1 else 'nodes'}, not of {config.nodes}: "
            f"run {count}, or choose another data directory"
        )
    return identity
