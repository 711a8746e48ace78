"""The episode engine: the state machine of environments, rollouts and trainers."""
