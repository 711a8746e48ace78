"""The episode engine: one state machine that env, rollouts and trainers drive."""
