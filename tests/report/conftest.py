"""Figures are drawn with a fifth of their pixels: nothing that is tested of them depends on how fine they are."""

import pytest

from swatchbook.report import figure


@pytest.fixture(autouse=True, scope="package")
def coarse_figures():
    fine, figure.DPI = figure.DPI, 40
    yield
    figure.DPI = fine
