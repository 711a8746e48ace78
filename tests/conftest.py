"""Every run of the tests tries the same examples; `--hypothesis-profile=default` tries new ones."""

from hypothesis import settings

settings.register_profile("same", derandomize=True, print_blob=True)
settings.load_profile("same")
