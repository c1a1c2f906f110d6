"""Memory that is freed and taken again."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

FAULTS = """
import resource, sys
import numpy as np
from swatchbook.memory import keep_freed

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        np.ones(6_000_000)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

before, done = faults(), keep_freed()
faults()
print(before, done, faults(), keep_freed())
"""


def faults_of(**environment: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", FAULTS],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **environment},
    )
    return done.stdout.split()


def test_freed_memory_is_taken_again_without_a_fault():
    before, done, after, again = faults_of()
    if done == "False":
        pytest.skip("freed memory is kept with the GNU C library only, and where the environment is silent")
    assert again == "True"
    assert int(before) > 20 * int(after)


def test_what_the_environment_says_of_memory_holds():
    _, done, _, again = faults_of(MALLOC_TRIM_THRESHOLD_="131072")
    assert (done, again) == ("False", "False")
