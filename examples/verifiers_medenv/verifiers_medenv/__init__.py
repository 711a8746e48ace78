"""Questions of medenv for verifiers: ``vf-eval verifiers-medenv``."""

from medenv.integrations.verifiers import MedEnvEnv, MedEnvHarness, MedEnvTaskset, load_environment

__all__ = ["MedEnvEnv", "MedEnvHarness", "MedEnvTaskset", "load_environment"]
