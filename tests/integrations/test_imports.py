"""Processes of verl look for garbage rarely while they import."""

from __future__ import annotations

import pkgutil
import subprocess
import sys

import pytest

from medenv.integrations.verl.imports import collect_rarely

from ..toy import preset


def test_the_preset_for_two_cores_names_the_function_for_rays_workers() -> None:
    named = preset("hardware", "cpu")["ray_kwargs"]["ray_init"]["runtime_env"]
    assert pkgutil.resolve_name(named["worker_process_setup_hook"]) is collect_rarely


@pytest.mark.verl
def test_a_worker_of_ray_calls_it_before_it_imports_anything() -> None:
    program = """
import gc, sys, ray
hook = "medenv.integrations.verl.imports.collect_rarely"
runtime_env = {"worker_process_setup_hook": hook}
ray.init("local", num_cpus=1, include_dashboard=False, runtime_env=runtime_env)
told = ray.get(ray.remote(lambda: (gc.get_threshold()[0], "torch" in sys.modules)).remote())
assert told == (100_000, False), told
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
