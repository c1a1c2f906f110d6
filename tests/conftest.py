"""Fixtures shared by the tests."""

import os
from pathlib import Path

# The tests of two processes share two cores. Threads of a linear algebra that is this small only wait for each
# other: a fit of a temperature takes five times as long with them. Read when the library is loaded.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from swatchbook.pipeline.settings import configure as configure_study
from swatchbook.schema import Schema
from swatchbook.studies import spec_of
from tests.browser import stop_browser

ROOT = Path(__file__).resolve().parents[1]


def configure(profile: str, overrides: dict | None = None) -> object:
    """The settings of a profile with overrides."""
    spec = spec_of(profile)
    return configure_study(spec, profile, overrides)


def real_data(name: str) -> Path:
    """A folder of real data beside the checkout (or under SWATCHBOOK_DATA); skips where it is absent."""
    home = Path(os.environ.get("SWATCHBOOK_DATA", ROOT.parent / "shared" / "data"))
    if not (home / name).is_dir():
        pytest.skip(f"real data {name!r} is not here (looked in {home}; set SWATCHBOOK_DATA)")
    return home / name


@pytest.fixture(scope="session")
def published_dir() -> Path:
    return real_data("published")


@pytest.fixture(scope="session")
def schema() -> Schema:
    return Schema.load()


@pytest.fixture(scope="module")
def one_thread():
    """Several threads of several test processes would wait for each other."""
    torch = pytest.importorskip("torch", reason="computing on one thread needs the extra 'models'")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session", autouse=True)
def one_thread_of_linear_algebra():
    """Also where a plugin loaded numpy before this file."""
    with threadpool_limits(1, user_api="blas"):
        yield


@pytest.fixture(scope="session", autouse=True)
def one_browser():
    """The browser that tests start is closed when all are done."""
    yield
    stop_browser()


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20260101)
