"""Episodes without a score, on their way from verl's agent loops to the sampler.

verl stores what an agent loop returns as a sample to train on, so an episode that the
infrastructure broke is not returned. It goes into a partition of its own in the TransferQueue,
from which the sampler takes it to count it and to keep the reason.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import msgspec
import transfer_queue as tq

from medenv.integrations.verl.rows import Sampling
from medenv.records import Scored

PARTITION = "medenv-unscored"
"""Partition of the TransferQueue; verl's own are "train" and "val"."""


class Unscored(NamedTuple):
    """An episode without a score.

    Attributes:
        sampling: How the policy wrote.
        scored: The episode; the total of its score is None.
    """

    sampling: Sampling
    scored: Scored


async def report(group: str, unscored: Unscored) -> None:
    """Store an episode for the sampler.

    Args:
        group: verl's uid of the group of rollouts to which the episode belongs.
        unscored: The episode.
    """
    encoded = msgspec.json.encode(unscored.scored).decode()
    await tq.async_kv_put(
        key=f"{group}_{unscored.scored.sample}",
        partition_id=PARTITION,
        fields={"sampling": unscored.sampling, "scored": encoded},
        tag={"group": group},
    )


def take(groups: Iterable[str]) -> list[Unscored]:
    """Return the episodes of some groups and remove them from the queue.

    Args:
        groups: verl's uids.
    """
    wanted = set(groups)
    stored = tq.kv_list(PARTITION).get(PARTITION) or {}
    keys = sorted(key for key, tag in stored.items() if tag["group"] in wanted)
    if not keys:
        return []
    data = tq.kv_batch_get(keys=keys, partition_id=PARTITION, select_fields=["sampling", "scored"])
    tq.kv_clear(keys=keys, partition_id=PARTITION)
    return [
        Unscored(sampling, msgspec.json.decode(text, type=Scored))
        for sampling, text in zip(data["sampling"], data["scored"], strict=True)
    ]
