"""When nodes count as ready, from what each publishes of itself."""

from __future__ import annotations

import pytest

from restate_patterns.server.health import NodeHealth, are_ready, read_metrics

PUBLISHED = """\
# TYPE restate_num_partitions gauge
restate_num_partitions{cluster_name="c",node_name="node-1"} 24
restate_num_active_partition_leaders{cluster_name="c",node_name="node-1"} 9
restate_failure_detector_nodes_total{cluster_name="c",node_name="node-1",state="dead"} 1
restate_failure_detector_nodes_total{cluster_name="c",node_name="node-1",state="alive"} 2
"""


def health(alive: int, led: int, partitions: int = 24) -> NodeHealth:
    return NodeHealth("c", alive, led, partitions)


def test_metrics_are_read() -> None:
    """Each number from its line; what is not published yet is none."""
    assert read_metrics("c", PUBLISHED) == health(alive=2, led=9)
    assert read_metrics("c", "") == health(alive=0, led=0, partitions=0)


@pytest.mark.parametrize(
    ("answers", "ready"),
    [
        ([health(1, 24)], True),
        ([health(3, 8), health(3, 8), health(3, 8)], True),
        ([health(2, 0), health(2, 24)], True),
        ([], False),
        ([None], False),
        ([health(2, 12), None], False),
        ([health(1, 12), health(2, 12)], False),
        ([health(2, 12), health(2, 11)], False),
        ([health(1, 0, partitions=0)], False),
    ],
    ids=["one", "three", "one leads", "none", "silent", "half silent", "alone", "no leader", "unknown"],
)
def test_ready(answers: list[NodeHealth | None], ready: bool) -> None:
    """All answer, know each other, and lead every partition together."""
    assert are_ready(answers) is ready
