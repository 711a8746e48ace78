"""Settings of the property tests: no deadline per example, since machines are shared."""

from hypothesis import settings

settings.register_profile("medenv", deadline=None)
settings.load_profile("medenv")
