"""Traps that others have fallen into, and the test that keeps this project out of each.

Those without a test elsewhere are tested here; that the others exist is tested, too.

position embedding kept at 518 pixels     models/test_network::test_dinov2_has_the_published_heads_and_takes_224_pixels
position embedding not resampled          models/test_network::test_the_position_embedding_is_resampled_at_load
position embedding resampled every pass   test_traps::test_no_forward_pass_resamples_a_position_embedding
cosine that begins inside the warm-up     models/test_training::test_the_learning_rate_rises_for_two_epochs_and_then_falls_to_zero
layer-wise rates that reach no layer      models/test_training::test_the_rates_of_the_schedule_reach_the_two_groups
pooling that differs between backbones    models/test_network::test_dinov3_gives_its_cls_token_and_not_the_mean_of_its_patches
the backbone's normalisation              models/test_network::test_normalisation_is_the_backbones_own
the labeller's preprocessing              labeller/test_zero_shot::test_preprocessing_comes_from_the_models_config
the labeller's preprocessing, on load     labeller/test_zero_shot::test_wrong_preprocessing_is_detected
a random labeller with a mere warning     labeller/test_zero_shot::test_a_folder_without_weights_is_no_random_model
a random backbone with a mere warning     models/test_network::test_wrong_keys_are_a_strict_error
bf16 on a T4                              models/test_training::test_the_number_format_follows_the_hardware_with_a_reason
resume in mid-epoch                       models/test_training::test_a_training_killed_in_mid_epoch_ends_in_the_same_bytes
a killed run of all steps                 studies/test_demo::test_a_run_killed_in_every_step_up_to_the_models_ends_in_the_same_bytes
bits that change with the threads         models/test_training::test_threads_are_fixed_during_training_and_given_back
one crop for a whole batch                models/test_augment::test_every_image_of_a_batch_gets_its_own_view
an image cached at another size           models/test_augment::test_a_smaller_model_sees_the_same_field_of_view
a head masked in a whole batch            models/test_losses::test_masked_items_get_exactly_zero_gradient_and_a_masked_head_exactly_zero_loss
progress bars as widgets                  test_traps::test_no_module_draws_progress_as_a_widget
progress bars that fill a notebook        test_traps::test_progress_in_a_headless_notebook_is_small_and_the_page_shows_its_end
links to servers in the report            report/test_page::test_nothing_has_to_be_loaded
parameters that papermill merely warns of pipeline/test_notebook_runner::test_unknown_or_odd_parameters_are_refused_before_anything_runs
a notebook that exits in the middle       pipeline/test_notebook_runner::test_a_notebook_that_stops_midway_fails_and_names_the_cell
a kernel of another environment           pipeline/test_notebook_runner::test_the_kernel_is_the_running_python_whatever_the_user_has_installed
a Colab whose torch is replaced           test_colab::test_on_colab_only_what_is_missing_is_installed_and_torch_stays_as_it_is
pickles                                   models/test_checkpoint::test_a_pickle_is_never_opened
"""

import ast
import re

import nbformat
import pandas as pd
import pytest
from bs4 import BeautifulSoup
from nbformat.v4 import new_code_cell, new_notebook

from swatchbook.pipeline.notebook_runner import execute
from swatchbook.report.page import write_page
from tests.conftest import ROOT

SOURCES = sorted((ROOT / "src").rglob("*.py"))


def test_every_trap_of_the_list_has_its_test():
    listed = re.findall(r"(\S*test_\w+)::(test_\w+)$", __doc__, re.MULTILINE)
    assert len(listed) == len(__doc__.strip().splitlines()) - 4
    missing = []
    for module, name in listed:
        text = (ROOT / "tests" / f"{module}.py").read_text(encoding="utf-8")
        if not re.search(rf"^\s*def {name}\(", text, re.MULTILINE):
            missing.append(f"{module}::{name}")
    assert missing == []


def imports_of(path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def test_no_module_draws_progress_as_a_widget():
    """`tqdm.auto` and `tqdm.notebook` freeze at 0 in a headless run and load scripts into the page."""
    assert any("tqdm.tqdm" in imports_of(path) for path in SOURCES)
    for path in SOURCES:
        assert not [
            name for name in imports_of(path) if re.match(r"tqdm\.(auto|notebook|autonotebook)", name)
        ]
        assert not [name for name in imports_of(path) if name.startswith("ipywidgets")]


def test_no_module_draws_one_crop_for_a_batch_or_sees_bf16_where_it_is_emulated():
    """torchvision's random transforms take a batch for one image; `is_bf16_supported` says yes on a T4."""
    for path in SOURCES:
        assert not [name for name in imports_of(path) if name.startswith("torchvision.transforms")]
        calls = [n.func for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Call)]
        assert "is_bf16_supported" not in [f.attr for f in calls if isinstance(f, ast.Attribute)]


BUSY = """
from pathlib import Path
from swatchbook.data.images import in_parallel
done = in_parallel(len, ["image"] * 20_000, 1, "reading images")
"""


def test_progress_in_a_headless_notebook_is_small_and_the_page_shows_its_end(tmp_path):
    cells = [new_code_cell("SEED: int = 1", metadata={"tags": ["parameters"]}), new_code_cell(BUSY)]
    nbformat.write(new_notebook(cells=cells), tmp_path / "03_training.ipynb")
    execute(tmp_path / "03_training.ipynb", tmp_path / "run.ipynb", {})
    executed = nbformat.read(tmp_path / "run.ipynb", 4)
    outputs = [output for cell in executed.cells for output in cell.get("outputs", [])]
    assert {output.output_type for output in outputs} == {"stream"}
    assert 1 <= len(outputs) <= 2
    write_page(
        tmp_path / "index.html",
        title="A study",
        lead="A run.",
        headline=pd.DataFrame({"what": ["x"], "value": [1.0]}),
        claims=pd.DataFrame({"printed": ["x"], "verdict": ["holds"], "sentence": ["y"], "where": ["z"]}),
        notebooks=[("03_training", tmp_path / "run.ipynb")],
        provenance={"run": {"date": "2026-01-01", "profile": "demo", "commit": "0123abc"}},
    )
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert not re.search(r"unpkg|cdnjs|jsdelivr|require\.js|mathjax", page, re.IGNORECASE)
    assert not BeautifulSoup(page, "html.parser").find_all(["script", "link", "iframe"], src=True)
    assert page.count("reading images") <= 2 and "100%" in page and " 0%" not in page


def test_no_forward_pass_resamples_a_position_embedding(schema, monkeypatch):
    """`dynamic_img_size=True` would, at every step, and its gradient cannot be computed deterministically."""
    torch = pytest.importorskip("torch", reason="models need the extra 'models'")
    from timm.layers import pos_embed
    from timm.models import vision_transformer

    from swatchbook.models.network import build

    network = build("vit_small_patch14_dinov2.lvd142m", schema, pretrained=False, img_size=28)

    def refuse(*_, **__):
        raise AssertionError("a forward pass resamples")

    for module in (pos_embed, vision_transformer):
        monkeypatch.setattr(module, "resample_abs_pos_embed", refuse)
    monkeypatch.setattr(torch.nn.functional, "interpolate", refuse)
    assert network(torch.rand(2, 3, 28, 28))["material"].shape == (2, 6)
