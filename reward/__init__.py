"""Rewards: named pure components, gates and their composition."""

if __name__ != "medenv.reward":
    raise ImportError("`reward/` is the source of `medenv.reward`; import it by that name")
