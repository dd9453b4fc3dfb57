"""The folder of a server: it keeps its identity, has one owner, and says what it does not fit."""

from __future__ import annotations

from pathlib import Path

import pytest

from restate_patterns.server import DataDirectoryError, ServerConfig
from restate_patterns.server.data import data_directory

BINARY = Path("restate-server")


def test_an_identity_is_kept(tmp_path: Path) -> None:
    """The name and the ports by which nodes find each other are the same at each start; another folder has others."""
    with data_directory(ServerConfig(binary=BINARY, nodes=3, base_dir=tmp_path / "a")) as (_, first):
        pass
    with data_directory(ServerConfig(binary=BINARY, nodes=3, base_dir=tmp_path / "a")) as (directory, again):
        assert directory == (tmp_path / "a").resolve()
    with data_directory(ServerConfig(binary=BINARY, nodes=3, base_dir=tmp_path / "b")) as (_, other):
        pass
    assert again == first
    assert other.cluster_name != first.cluster_name
    assert not set(other.node_ports) & set(first.node_ports)


def test_a_temporary_folder_goes() -> None:
    """Nothing is left after the block."""
    with data_directory(ServerConfig(binary=BINARY)) as (directory, _):
        (directory / "node-1").mkdir()
    assert not directory.exists()


def test_a_cluster_of_another_size_is_refused(tmp_path: Path) -> None:
    """The sentence has both sizes, and the folder is free again."""
    with data_directory(ServerConfig(binary=BINARY, base_dir=tmp_path)):
        pass
    sentence = "are of 1 node, not of 3: run 1, or choose another data directory"
    for _ in range(2):
        with (
            pytest.raises(DataDirectoryError, match=sentence),
            data_directory(ServerConfig(binary=BINARY, nodes=3, base_dir=tmp_path)),
        ):
            pass


def test_a_file_that_is_not_ours_is_refused(tmp_path: Path) -> None:
    """The sentence names the file; nothing is written over."""
    (tmp_path / "cluster.json").write_text("{")
    with (
        pytest.raises(DataDirectoryError, match=r"cluster\.json cannot be read"),
        data_directory(ServerConfig(binary=BINARY, base_dir=tmp_path)),
    ):
        pass
    assert (tmp_path / "cluster.json").read_text() == "{"
