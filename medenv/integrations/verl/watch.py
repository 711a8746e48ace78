"""Watch verl's trainer from within its process, and finish the checkpoints that it writes.

verl waits for ever for episodes that a dead agent loop or engine owes it. `WatchedTaskRunner`, in
place of verl's own task runner, reports steps, finished episodes and deaths to the launcher through
a `Heartbeat` file; `CheckpointKeeper`, named in `trainer.checkpoint_callback_class`, makes what was
saved loadable and removes what is not to be kept.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import ray
import transfer_queue as tq
from omegaconf import DictConfig
from verl.trainer.main_ppo import TaskRunnerV1
from verl.trainer.ppo.checkpoint_callback import CheckpointCallback

from medenv.integrations.verl.checkpoints import Layout, prune
from medenv.integrations.verl.curriculum import install
from medenv.integrations.verl.following import HEARTBEAT, Heartbeat
from medenv.integrations.verl.lora import merge_adapter

BEAT_SECONDS, LOOK_SECONDS = 1.0, 5.0
"""Seconds between two heartbeats, and between two looks at processes."""

logger = logging.getLogger(__name__)


class Actors:
    """Ray actors that the trainer cannot do without.

    One call waits in each actor's queue. It is answered when the actor has time, and fails as soon
    as the actor is dead, however busy it was.

    Args:
        actors: Each actor's name and handle.
    """

    def __init__(self, actors: Iterable[tuple[str, Any]]) -> None:
        self._asked = {handle.__ray_ready__.remote(): (name, handle) for name, handle in actors}

    def dead(self) -> str:
        """Return the name of an actor that has died and why, or nothing."""
        answered, _ = ray.wait(list(self._asked), num_returns=len(self._asked), timeout=0)
        for reference in answered:
            name, handle = self._asked.pop(reference)
            try:
                ray.get(reference)
            except ray.exceptions.ActorUnavailableError:
                pass  # it may come back; whether it does, the next question shows
            except ray.exceptions.RayActorError as error:
                return f"{name} ({str(error).partition(chr(10))[0]})"
            self._asked[handle.__ray_ready__.remote()] = (name, handle)
        return ""


def dead_engine(addresses: Iterable[str]) -> str:
    """Return the first of vLLM's servers whose engine has died, or nothing.

    Args:
        addresses: Host and port of each.
    """

    def ask(address: str) -> str:
        try:
            answer = httpx.get(f"http://{address}/health", timeout=5.0, trust_env=False)
        except httpx.ConnectError:
            return f"the rollout engine at {address} (its server has closed)"
        except httpx.HTTPError:
            return ""  # busy
        dead = answer.status_code == httpx.codes.SERVICE_UNAVAILABLE
        return (
            f"the rollout engine at {address} (its server is up, its engine is not)" if dead else ""
        )

    with ThreadPoolExecutor(max_workers=32) as pool:
        return next(filter(None, pool.map(ask, addresses)), "")


class Watch(threading.Thread):
    """Writes the heartbeat of a trainer while it trains.

    Args:
        trainer: verl's trainer, ready to train.
        agent_loops: Handles of the workers that play episodes.
        path: The heartbeat's file.
    """

    def __init__(self, trainer: Any, agent_loops: Iterable[Any], path: Path) -> None:
        super().__init__(name="medenv-watch", daemon=True)
        self._trainer, self._path = trainer, path
        self._actors = Actors(_needed(trainer, agent_loops))
        served = trainer.config.actor_rollout_ref.rollout.name == "vllm"
        self._servers = list(trainer.llm_server_manager.get_addresses()) if served else []
        self._known: set[tuple[str, str]] = set()
        self._written = Heartbeat()

    def run(self) -> None:
        """Beat until something has died or the queue is closed at the end of training."""
        looked = time.monotonic()
        while not self._written.lost:
            time.sleep(BEAT_SECONDS)
            try:
                ended = finished(tq.kv_list() or {})
            except Exception as error:  # the client has no error type of its own
                logger.info("the watch ends with the queue: %s", error)
                return
            episodes = self._written.episodes + len(ended - self._known)
            self._known, lost = ended, ""
            if time.monotonic() - looked > LOOK_SECONDS:
                lost, looked = self._actors.dead() or dead_engine(self._servers), time.monotonic()
            now = Heartbeat(step=int(self._trainer.global_steps), episodes=episodes, lost=lost)
            if now != self._written:
                now.write(self._path)
                self._written = now


def finished(queue: dict[str, dict[str, dict[str, Any]]]) -> set[tuple[str, str]]:
    """Return the episodes in verl's queue that have ended with a score, as partition and key.

    Args:
        queue: Keys with their tags, by partition.
    """
    return {
        (partition, key)
        for partition, tags in queue.items()
        for key, tag in tags.items()
        if not tag.get("is_prompt") and tag.get("status") == "success"
    }


def _needed(trainer: Any, agent_loops: Iterable[Any]) -> Iterator[tuple[str, Any]]:
    for number, handle in enumerate(agent_loops):
        yield f"agent loop worker {number}", handle
    for replica in trainer.llm_server_manager.get_replicas():
        for handle in replica.servers:
            yield f"rollout server {replica.replica_rank}", handle
    for number, handle in enumerate(trainer.actor_rollout_wg.workers):
        yield f"trainer worker {number}", handle
    if trainer.use_critic:
        for number, handle in enumerate(trainer.critic_wg.workers):
            yield f"critic worker {number}", handle
    for number, handle in enumerate(trainer.reward_loop_manager.reward_loop_worker_handles or ()):
        yield f"reward worker {number}", handle


@ray.remote
class WatchedTaskRunner(TaskRunnerV1.__ray_metadata__.modified_class.__ray_actor_class__):  # type: ignore[misc]  # the class that ray.remote wraps; verl is untyped to us
    """verl's task runner with medenv's curriculum, and a `Watch` once everything is started."""

    def init_agent_loop_manager(self) -> None:
        """Start the workers that play episodes, then the watch.

        It is called after verl's trainer has loaded its checkpoint and before it draws questions.
        """
        install(self.trainer)
        super().init_agent_loop_manager()
        path = Path(self.config.root) / self.config.run / HEARTBEAT
        Watch(self.trainer, self.agent_loop_manager.agent_loop_workers, path).start()


class CheckpointKeeper(CheckpointCallback):  # type: ignore[misc]  # verl is untyped to us
    """Merges LoRA weights into what was exported, and removes checkpoints that are not to be kept.

    verl keeps its list of checkpoints in memory, so that each resume would leave some behind.
    """

    def __init__(self, config: DictConfig) -> None:
        super().__init__(config)
        self._layout = Layout.of(config)

    def on_save(
        self,
        trainer: Any,  # noqa: ARG002 - verl's signature
        global_step: int,  # noqa: ARG002 - verl's signature
        checkpoint_dir: str,
        async_save: bool = False,
        **kwargs: Any,  # noqa: ARG002 - verl's signature
    ) -> None:
        """Finish a checkpoint that verl has just written."""
        if async_save:
            return
        merge_adapter(Path(checkpoint_dir) / "actor", self.config.actor_rollout_ref.model)
        prune(Path(checkpoint_dir).parent, self._layout)
