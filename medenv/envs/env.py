"""The Gymnasium environment over the episode engine."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from typing import Any, SupportsFloat

import gymnasium
import numpy as np
from gymnasium.envs.registration import EnvSpec

from medenv.envs.spaces import UnicodeText
from medenv.episodes.episode import Episode, EpisodeRules, Snapshot
from medenv.errors import InfraError, JudgeUnavailableError, UnknownNameError, UsageError
from medenv.records import Message, Question, RewardFn, Score, ToolResult
from medenv.tools import ToolBox

MAX_CHARS = 1_000_000
"""Maximum length of an observation or action, characters."""

_INTEGERS = (int, np.integer)


class MedResearchEnv(gymnasium.Env[str, str]):
    """Research a medical question with tools over several turns, then answer it.

    ## Description
    The agent receives a question whose answers are proved against a knowledge graph. It may call
    tools, usually to search and read a corpus, and ends the episode by answering.

    ## Action Space
    `UnicodeText`: one turn of the policy's text, in the dialect of the environment. Any text is
    valid; a text without a call or an answer costs a turn, and the observation describes the error.

    ## Observation Space
    `UnicodeText`: after `reset`, the whole prompt as one text; after `step`, the results of the
    tools. The conversation as chat messages is in the information and in `messages`. Text from
    tools is neutralised: it contains no control token and no tag of the dialect.

    ## Starting State
    A question drawn uniformly by the environment's own generator, or the question given by id or
    number in ``reset(options={"question": ...})``.

    ## Rewards
    0 for every step except the last, which has the total of the score. Only the agent's own text is
    scored.

    ## Episode End
    Terminated when the agent answers. Truncated when a budget is exhausted: turns, tool calls,
    tokens or seconds. Never both. An infrastructure failure is neither: `step` raises an
    `InfraError`, the state is unchanged and the step can be repeated.

    ## Information
    After `reset`: ``question_id`` and ``messages`` (the prompt as chat messages). After `step`:
    ``problems`` (errors of the turn) and ``passages`` (ids of the passages shown); after the last
    step also ``ending``, ``score`` (a `Score` with its parts) and ``trajectory``.

    ## Arguments
    `questions`: the questions, at least one. `toolbox`: the tools. `reward`: scores a finished
    trajectory. `rules`: dialect, budget and prompt style of all episodes. `render_mode`: with
    ``"ansi"``, `render` returns the conversation so far as a string; with ``"human"``, new messages
    are printed. For the arguments of ``gymnasium.make`` see
    `medenv.build.environment.MakeSettings`, and `render_mode`.

    ## References
    The tool-using research agent is that of MedResearcher-R1 (Yu et al., 2025); the ontology of the
    bundled questions is the Human Phenotype Ontology (Gargano et al., 2024).

    ## Version History
    v0: first version. A change that can affect scores increments the version.

    ## Medical Scope and Limits
    Questions are about documented relations between diseases, genes and phenotypes. A high score
    shows skill at finding such relations in a given corpus. It shows neither clinical judgement nor
    safety, and nothing here is medical advice.
    """

    metadata = {"render_modes": ["ansi", "human"], "render_fps": 4}  # noqa: RUF012 - Gymnasium's own declaration

    def __init__(
        self,
        questions: Sequence[Question],
        toolbox: ToolBox,
        reward: RewardFn,
        rules: EpisodeRules,
        render_mode: str | None = None,
    ) -> None:
        if not questions:
            raise UsageError("an environment needs at least one question, got none")
        if render_mode is not None and render_mode not in self.metadata["render_modes"]:
            raise UnknownNameError("render mode", render_mode, self.metadata["render_modes"])
        self.render_mode, self._prints = render_mode, render_mode == "human"
        self.questions = tuple(questions)
        self.toolbox, self.reward, self.rules = toolbox, reward, rules
        self.observation_space = UnicodeText(MAX_CHARS)
        self.action_space = UnicodeText(MAX_CHARS)
        self._numbers = {question.id: i for i, question in enumerate(self.questions)}
        self._episode: Episode | None = None
        self._score: Score | None = None
        self._printed: tuple[Episode | None, int] = None, 0
        self._spec: EnvSpec | None = None

    @property
    def spec(self) -> EnvSpec | None:
        """The Gymnasium spec; its ``max_episode_steps`` is the budget of turns."""
        return self._spec

    @spec.setter
    def spec(self, spec: EnvSpec | None) -> None:
        # The number has no `TimeLimit` wrapper: the episode itself ends with its last turn.
        self._spec = copy(spec)
        if self._spec is not None:
            self._spec.max_episode_steps = self.rules.max_turns

    @property
    def episode(self) -> Episode:
        """The present episode, running or ended.

        Raises:
            UsageError: `reset` has not been called.
        """
        if self._episode is None:
            raise UsageError("there is no episode yet: call reset first")
        return self._episode

    @property
    def messages(self) -> list[Message]:
        """The conversation so far as chat messages."""
        return self.episode.messages

    def snapshot(self) -> Snapshot:
        """Return the state of the episode, which `restore` accepts any number of times."""
        return self.episode.snapshot()

    def restore(self, snapshot: Snapshot) -> None:
        """Continue from a snapshot; an ended episode gives no further reward and needs a `reset`.

        Args:
            snapshot: A snapshot of an environment with the same settings.

        Raises:
            UsageError: The snapshot has other settings.
        """
        self._episode, self._score = Episode.restore(snapshot, self.rules), None
        if snapshot.ending is not None:
            self._score = Score(total=None, parts={})  # its reward was already given

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[str, dict[str, Any]]:
        """Start an episode.

        Args:
            seed: Seed of the generator that draws questions.
            options: ``{"question": id or number}`` to select a question.

        Returns:
            The prompt as text, and ``question_id`` and ``messages``.

        Raises:
            UsageError: Unknown option or question.
        """
        super().reset(seed=seed)
        number = self._choose(options or {})
        question = self.questions[number]
        self._episode, self._score = Episode(question, self.rules, seed or 0), None
        messages = self._episode.prompt()
        text = messages[-1]["content"]
        if len(messages) == 2:
            text = f"{messages[0]['content']}\n\n{text}"
        if self._prints:
            self.render()
        return text, {"question_id": question.id, "messages": messages}

    def step(self, action: str) -> tuple[str, SupportsFloat, bool, bool, dict[str, Any]]:
        """Process the agent's next text, make its calls and return the results.

        Args:
            action: Text of the agent.

        Returns:
            Observation, reward, terminated, truncated, information.

        Raises:
            UsageError: `reset` was not called, the episode has ended, or the action is not a
                string.
            InfraError: An external failure; repeat the step.
        """
        episode = self._episode or self.episode  # the property raises if there is none
        observation = ""
        if episode.ending is None:
            observation = self._turn(episode, action)
        elif self._score is not None:
            raise UsageError("the episode has ended: call reset")
        turn = episode.last_turn
        shown: tuple[str, ...] = ()
        for result in turn.results:
            shown += result.passages
        info: dict[str, Any] = {"problems": turn.parsed.problems, "passages": shown}
        if episode.ending is None:
            if self._prints:
                self.render()
            return observation, 0.0, False, False, info
        reward = self._finish(episode, info)
        if self._prints:
            self.render()
        return observation, reward, episode.terminated, episode.truncated, info

    def render(self) -> str | None:
        """Render the conversation so far.

        Returns:
            In render mode ``"ansi"``, the whole conversation for a terminal of 100 columns; in
            render mode ``"human"``, None, after printing the new messages.

        Raises:
            UsageError: `reset` has not been called.
        """
        episode = self.episode
        if self.render_mode is None:
            gymnasium.logger.warn(
                "render was called without a render mode: make the environment with "
                'render_mode="ansi" or "human"'
            )
            return None
        from medenv.envs import rendering  # imports rich only when rendering

        messages = episode.messages
        last = [] if episode.ending is None else [rendering.outcome(episode.ending, self._score)]
        if not self._prints:
            return rendering.ansi([*rendering.conversation(messages), *last])
        printed_episode, printed = self._printed
        if printed_episode is not episode:
            printed = 0
        if printed < len(messages):
            rendering.show([*rendering.conversation(messages, printed), *last])
            self._printed = episode, len(messages)
        return None

    def _turn(self, episode: Episode, action: str) -> str:
        """Advance by one turn; retract it if its calls fail."""
        calls = episode.advance(action)
        if episode.ending is not None:
            return ""
        run = self.toolbox.run
        results: list[ToolResult] = []
        try:
            for call in calls:
                results.append(run(call))
            return episode.observe(results)
        except BaseException:  # also on an interrupt
            episode.retract()
            raise

    def _finish(self, episode: Episode, info: dict[str, Any]) -> float:
        """Score the ended episode and add ending, score and trajectory to the information."""
        if episode.ending == "unavailable":
            raise InfraError(f"the episode cannot be scored: {episode.failure}; call reset")
        trajectory = episode.trajectory()
        score = self.reward(trajectory)
        if score.total is None:
            raise JudgeUnavailableError("the reward gave no score; repeat the step")
        self._score = score
        info["ending"], info["score"], info["trajectory"] = episode.ending, score, trajectory
        return score.total

    def _choose(self, options: dict[str, Any]) -> int:
        """Return the number of the question in the options, or of a random one."""
        for name in options:
            if name != "question":
                raise UnknownNameError("reset option", name, ["question"])
        question = options.get("question")
        if question is None:
            return int(self.np_random.random() * len(self.questions))
        if isinstance(question, str):
            if question not in self._numbers:
                known = f"{len(self.questions)} questions, such as {self.questions[0].id!r}"
                raise UsageError(f"no question has the id {question!r} ({known})")
            return self._numbers[question]
        if not isinstance(question, _INTEGERS):
            raise UsageError(f"expected the id or number of a question, got {question!r}")
        if not 0 <= question < len(self.questions):
            raise UsageError(
                f"question numbers go from 0 to {len(self.questions) - 1}, got {question!r}"
            )
        return int(question)
