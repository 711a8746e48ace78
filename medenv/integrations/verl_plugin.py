"""Registers the agent loop `medenv` with verl, through its `verl.plugins` entry point.

Importing this module is the registration: `verl.experimental.agent_loop` keeps a name for each
class decorated with `register`, and looks it up by the column `agent_name` of each row.
"""

from medenv.integrations.verl_agent_loop import MedEnvAgentLoop

__all__ = ["MedEnvAgentLoop"]
