"""Faults from images to models, injected into whole runs of a tiny drawn world with a tiny labeller.

Which test holds which fault (the numbers are those of the project's list of faults; `here` is this file):

  1  SIGKILL in each step          here; models/test_training (mid-epoch), data/test_pixels, data/test_textilenet
  8  flipped byte in a cache       here; models/test_checkpoint (weights), data/test_textilenet (archive)
  9  prompt, threshold, labeller   here; pipeline/test_run (settings, code), labeller/test_zero_shot (shards)
 11  image swapped, same mtime     here
 12  truncated JPEG                here; data/test_images (every cut of a file)
 13  zero bytes, HTML as .jpg      here; data/test_images
 14  bombs                         data/test_images
 15  16-bit, CMYK, alpha, EXIF …   data/test_images
 16  duplicates across splits      here (listed); data/test_duplicates (refused, split by group)
 17  more than 1 % corrupt         here; data/test_images, labeller/test_zero_shot
 19  pickles                       models/test_network, models/test_checkpoint, data/test_pixels, labeller/test_zero_shot
 20  wrong hash, wrong keys        models/test_network, models/test_checkpoint, labeller/test_zero_shot
 26  a head wholly masked          here; models/test_losses, models/test_training
 27  NaN loss                      here; models/test_training
 28  no GPU, out of memory         here (no GPU); models/test_training
 29  no network                    studies/test_paper_rehearsal; models/test_network, labeller/test_zero_shot,
                                   data/test_textilenet (half a download)
 31  typo in a parameter           pipeline/test_notebook_runner, studies/test_config
"""

import json
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("torch", reason="making labels and models needs the extra 'models'")

import open_clip
import torch
from safetensors.torch import load_file, save_file

from swatchbook.data import pixels
from swatchbook.data.images import BrokenImagesError
from swatchbook.drawn import files, write_dataset
from swatchbook.labeller.training.tokenizer import write_tokenizer
from swatchbook.models.training import TrainingError
from swatchbook.studies.study import Study
from tests.conftest import ROOT

SETTINGS = {
    "drawn.n_train": 100,
    "drawn.n_test": 100,
    "drawn.size": 96,
    "subset.floor": 3,
    "labelling.audit_per_fabric": 2,
    "backbones.model": "test_convnext",
    "backbones.model_pretrained": False,
    "backbones.baseline": "test_resnet",
    "training.image_size": 32,
    "training.warmup_epochs": 1,
    "epochs": 2,
    "training.batch": 16,
    "training.threads": 1,
    "evaluation.bootstrap": 20,
    "evaluation.permutations": 20,
    "evaluation.null_draws": 20,
    "evaluation.power_draws": 20,
    "evaluation.power_sizes": (20,),
}
TRAININGS = ["training tower", "training scratch"]


def tiny_labeller(folder: Path) -> Path:
    """A random open_clip model in open_clip's own layout, with small towers and a tokenizer."""
    folder.mkdir()
    config = {
        "model_cfg": {
            "embed_dim": 16,
            "custom_text": True,
            "vision_cfg": {"image_size": 64, "timm_model_name": "test_nfnet", "timm_pool": "avg"},
            "text_cfg": {"context_length": 64, "vocab_size": 768, "width": 16, "heads": 2, "layers": 1}
            | {"hf_tokenizer_name": "in this folder"},
        },
        "preprocess_cfg": {"mean": [0.5] * 3, "std": [0.25] * 3, "resize_mode": "squash"},
    }
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    write_tokenizer(["a red garment", "blue fabric"], folder)
    torch.manual_seed(0)
    model = open_clip.create_model(f"local-dir:{folder}", load_weights=False)
    save_file(model.state_dict(), folder / "open_clip_model.safetensors")
    return folder


def opened(folder: Path, labeller: Path, log=lambda line: None, **changed) -> Study:
    """The tiny study; its schema is a file beside the labeller, so that its content can change."""
    given = {"labeller": f"local-dir:{labeller}", "schema": str(labeller.parent / "schema.yaml")}
    return Study.open("demo", folder, log=log, **SETTINGS, **given, **changed)


def stages(study: Study, upto: str = "") -> list:
    """The steps without the figures; up to one of them, where it is named."""
    named = [s for s in study.stages if not s.name.startswith("figure")]
    return named[: [s.name for s in named].index(upto) + 1] if upto else named


def bring_up(study: Study, upto: str = "") -> Study:
    for stage in stages(study, upto):
        study.ensure_stage(stage)
    return study


def rerun(folder: Path, labeller: Path, upto: str = TRAININGS[-1], **changed) -> list[str]:
    """Bring a run up to date; the names of the steps that were computed, and why, as `name (why)`."""
    lines: list[str] = []
    bring_up(opened(folder, labeller, lines.append, **changed), upto)
    return [line.split("computed  ")[1] for line in lines if "computed  " in line]


def names(computed: list[str]) -> list[str]:
    return [line.rsplit(" in ", 1)[0] for line in computed]


def results(folder: Path) -> dict[str, bytes]:
    """Everything that a run made, but its records, times and the folder that it lies in."""
    kept = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        name = path.relative_to(folder).as_posix()
        if name.startswith(".") or name == "stages.json":
            continue
        if name == "manifest.parquet":
            kept[name] = pd.read_parquet(path).drop(columns="path").to_csv().encode()
        elif name.endswith("history.csv"):
            kept[name] = pd.read_csv(path).drop(columns=["seconds", "images_per_s"]).to_csv().encode()
        else:
            kept[name] = path.read_bytes()
    return kept


@pytest.fixture(scope="module")
def labeller(tmp_path_factory) -> Path:
    home = tmp_path_factory.mktemp("labeller")
    shutil.copy(ROOT / "src" / "swatchbook" / "schemas" / "textilenet.yaml", home / "schema.yaml")
    return tiny_labeller(home / "model")


@pytest.fixture(scope="module", autouse=True)
def _small_machine():
    """One thread, drawing in this process, no GPU: as the killed runs have it."""
    threads = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "cores", lambda: 1)
        patch.setattr(torch.cuda, "is_available", lambda: False)
        torch.set_num_threads(1)
        yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def whole(labeller, tmp_path_factory) -> Path:
    """A run that nothing disturbed."""
    return bring_up(opened(tmp_path_factory.mktemp("whole"), labeller)).store.root


@pytest.fixture
def copy(whole, tmp_path) -> Path:
    """A copy of the undisturbed run, at home in its own folder."""
    folder = tmp_path / "run"
    shutil.copytree(whole, folder)
    return folder


KILLED = """
    import os, signal, sys
    from pathlib import Path
    import torch
    from tests.studies import test_demo as t
    from swatchbook.data import pixels
    from swatchbook.drawn import drawing, files
    from swatchbook.labeller.zero_shot import Labeller
    from swatchbook.models.step import Stepper

    folder, labeller = Path(sys.argv[1]), Path(sys.argv[2])
    files.cores = lambda: 1
    torch.cuda.is_available = lambda: False
    torch.set_num_threads(1)

    def die(*given, **more):
        os.kill(os.getpid(), signal.SIGKILL)

    def after(calls, function):
        done = []
        def counted(*given, **more):
            done.append(1)
            return die() if len(done) > calls else function(*given, **more)
        return counted

    def half(study, artefact):
        write = study.store.write
        def half_written(name, writer):
            def cut(path):
                writer(path)
                path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
                die()
            write(name, cut if name == artefact else writer)
        study.store.write = half_written

    def harm(study, name):
        if name == "drawn images":
            drawing.draw_image = after(70, drawing.draw_image)
        elif name == "pixels":
            pixels.square = after(50, pixels.square)
        elif name == "cosines":
            Labeller.embed = after(1, Labeller.embed)
        elif name == "training tower":
            Stepper.take = after(7, Stepper.take)  # five steps an epoch
        elif name == "training scratch":
            study.store.record = after(0, study.store.record)
        else:
            half(study, next(s for s in study.stages if s.name == name).produces[-1 if name == "manifest" else 0])

    for name in sys.argv[3:]:
        child = os.fork()
        if not child:
            try:
                study = t.opened(folder, labeller)
                harm(study, name)
                study.ensure_stage(next(s for s in study.stages if s.name == name))
            finally:
                os._exit(1)
        assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL, name
        left = t.results(folder)
        print(name, len(left), flush=True)
    t.bring_up(t.opened(folder, labeller))
"""


def test_a_run_killed_in_every_step_up_to_the_models_ends_in_the_same_bytes(whole, labeller, tmp_path):
    victims = [s.name for s in stages(opened(tmp_path / "none", labeller), TRAININGS[-1])]
    made = ["manifest", "pixels", "duplicates", "cosines", "silver labels", "simulated audit"]
    assert victims == ["drawn images", *made, *TRAININGS]
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(KILLED), str(tmp_path / "run"), str(labeller), *victims],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    ended, expected = results(tmp_path / "run"), results(whole)
    assert ended.keys() == expected.keys()
    assert [name for name in expected if ended[name] != expected[name]] == []
    assert not [p for p in (tmp_path / "run").iterdir() if "partial" in p.name or "writing" in p.name]


@pytest.mark.parametrize(
    ("artefact", "step"),
    [("pixels.npy", "pixels"), ("cosines.parquet", "cosines"), ("audit.csv", "simulated audit")],
)
def test_a_flipped_byte_is_noticed_and_only_its_step_done_again(copy, whole, labeller, artefact, step):
    path = copy / artefact
    content, times = bytearray(path.read_bytes()), path.stat()
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    computed = rerun(copy, labeller)
    assert names(computed) == [step]
    assert f"{artefact} is missing or damaged" in computed[0]
    assert results(copy) == results(whole)


@pytest.fixture
def change(labeller):
    """Changes the schema file or the labeller's weights; puts both back."""
    files = (labeller.parent / "schema.yaml", labeller / "open_clip_model.safetensors")
    before = {file: file.read_bytes() for file in files}

    def to(what: str) -> dict[str, object]:
        schema, weights = files
        if what == "temperature":
            return {"temperature": 60}
        if what == "labeller":
            tensors = load_file(weights)
            save_file({name: tensor * 1.5 for name, tensor in tensors.items()}, weights)
            return {}
        if what == "masked":
            before, texture, after = schema.read_text().partition("  texture:")
            schema.write_text(before + texture + after.replace("threshold: 0.40", "threshold: 1.0", 1))
            return {}
        old, new = {
            "threshold": ("threshold: 0.30", "threshold: 0.90"),
            "prompt": ("a photo of a {} garment", "a picture of {} clothes"),
        }[what]
        schema.write_text(schema.read_text().replace(old, new, 1))
        return {}

    yield to
    for file, content in before.items():
        file.write_bytes(content)


@pytest.mark.parametrize(
    ("what", "first", "reason"),
    [
        ("temperature", ["silver labels"], "labelling.temperature changed from 100.0 to 60.0"),
        ("threshold", ["silver labels"], "the schema changed"),
        ("prompt", ["cosines", "silver labels"], "what it reads outside the run changed"),
        ("labeller", ["cosines", "silver labels"], "what it reads outside the run changed"),
    ],
)
def test_a_change_redoes_the_labels_and_what_depends_on_them(copy, labeller, change, what, first, reason):
    silver = (copy / "silver.parquet").read_bytes()
    changed = change(what)
    computed = rerun(copy, labeller, **changed)
    assert (copy / "silver.parquet").read_bytes() != silver
    assert names(computed) == first + TRAININGS
    assert reason in computed[0]
    assert names(rerun(copy, labeller, **changed)) == []


def swap(path: Path, other: Path) -> None:
    """Put another picture in a file's place, leaving its size and times as they were."""
    times = path.stat()
    content = other.read_bytes()
    assert len(content) <= times.st_size
    path.write_bytes(content.ljust(times.st_size, b"\0"))
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert path.stat().st_size == times.st_size and path.stat().st_mtime_ns == times.st_mtime_ns


def largest_and_smallest(paths: list[str]) -> tuple[Path, Path]:
    ordered = sorted(map(Path, paths), key=lambda p: (p.stat().st_size, p))
    return ordered[-1], ordered[0]


def test_an_image_swapped_behind_size_and_time_is_noticed(copy, labeller):
    manifest = pd.read_parquet(copy / "manifest.parquet")
    home = [str(copy / "images" / "fabric" / image) for image in manifest["image_id"]]
    large, small = largest_and_smallest(home)
    before = np.array(pixels.read(copy / "pixels.npy"))
    swap(large, small)
    computed = rerun(copy, labeller, "pixels")
    assert names(computed) == ["manifest", "pixels"]
    assert "what it reads outside the run changed" in computed[0]
    differs = (before != pixels.read(copy / "pixels.npy")).any((1, 2, 3))
    assert np.flatnonzero(differs).tolist() == [home.index(str(large))]


def test_a_swapped_image_of_textilenet_is_noticed_and_other_files_do_not_matter(schema, tmp_path):
    write_dataset(
        tmp_path / "t", n_train=60, n_test=20, coupling=0.7, seed=5, schema=schema, size=64, orphans=0.2
    )
    fabric = tmp_path / "t" / "fabric"

    def computed() -> list[str]:
        lines: list[str] = []
        caps = {"floor": 3, "cap_train": 5, "cap_test": 5}
        bring_up(Study.open("paper", tmp_path / "run", source=fabric, log=lines.append, **caps), "manifest")
        return [line for line in lines if "computed  " in line]

    assert len(computed()) == 1
    manifest = pd.read_parquet(tmp_path / "run" / "manifest.parquet")
    orphan = next(
        p for f in ("tweed", "crepe", "serge", "chenille") for p in (fabric / "train" / f).glob("*")
    )
    orphan.write_bytes(b"not an image")
    assert computed() == []
    swap(*largest_and_smallest(manifest["path"].tolist()))
    assert "what it reads outside the run changed" in computed()[0]


def breaks(copy: Path, damages: list) -> list[str]:
    """Damage images of the test split; their ids."""
    manifest = pd.read_parquet(copy / "manifest.parquet")
    ids = manifest.loc[manifest["split"] == "test", "image_id"].tolist()[: len(damages)]
    for image, damage in zip(ids, damages, strict=True):
        path = copy / "images" / "fabric" / image
        path.write_bytes(damage(path.read_bytes()))
    return ids


def test_one_broken_image_is_set_aside_and_everything_goes_on_without_it(copy, labeller):
    whole = len(pd.read_parquet(copy / "manifest.parquet"))
    ids = breaks(copy, [lambda data: data[: len(data) // 2]])
    rerun(copy, labeller)
    study = opened(copy, labeller)
    assert study.table("tables/quarantine.csv")["image_id"].tolist() == ids
    assert len(study.manifest) == len(study.silver) == len(pixels.read(copy / "pixels.npy")) == whole - 1
    assert not study.predictions("tower")["image_id"].isin(ids).any()


def test_more_than_one_percent_broken_stops_the_run_and_says_which_and_why(copy, labeller):
    page = b"<!DOCTYPE html><title>404</title>"
    ids = breaks(copy, [lambda data: data[: len(data) // 2], lambda data: b"", lambda data: page])
    with pytest.raises(BrokenImagesError, match=f"3 of 154 images are broken.*{ids[0]}"):
        rerun(copy, labeller)
    printed = pd.read_csv(copy / "tables" / "quarantine.csv")
    assert printed["image_id"].tolist() == ids
    assert printed["reason"].nunique() == 3
    # The next run stops again, rather than going on with what the last whole one left.
    with pytest.raises(BrokenImagesError):
        rerun(copy, labeller)


def test_a_photograph_in_train_and_test_is_listed_and_left_out(copy, labeller):
    fabric = copy / "images" / "fabric"
    manifest = pd.read_parquet(copy / "manifest.parquet")
    learnt, tested = (manifest.loc[manifest["split"] == s, "image_id"].iloc[0] for s in ("train", "test"))
    assert pd.read_csv(copy / "tables" / "duplicates.csv").empty
    shutil.copy(fabric / learnt, fabric / tested)
    rerun(copy, labeller, "duplicates")
    printed = pd.read_csv(copy / "tables" / "duplicates.csv").iloc[0]
    assert {printed["image_id"], printed["other"]} == {learnt, tested}
    assert (printed["kind"], {printed["split"], printed["other_split"]}) == ("exact", {"train", "test"})
    assert pd.read_csv(copy / "tables" / "copies_left_out.csv")["image_id"].tolist() == [learnt]


def test_a_head_without_any_label_costs_nothing_and_breaks_no_table(copy, labeller, change):
    assert opened(copy, labeller).silver["texture"].notna().any()
    change("masked")
    study = bring_up(opened(copy, labeller))
    assert study.silver["texture"].isna().all()
    for name in ("tower", "scratch"):
        history = study.store.read_table(f"models/{name}/history.csv")
        assert (history[["train_loss_texture", "val_loss_texture"]] == 0).all(axis=None)
        assert np.isfinite(history[["train_loss", "val_loss", "macro_f1"]]).all(axis=None)
        weights = load_file(study.store.path(f"models/{name}/model.safetensors"))
        assert all(torch.isfinite(tensor).all() for tensor in weights.values() if tensor.is_floating_point())
        assert np.isfinite(study.predictions(name).filter(like=":")).all(axis=None)
    scores = study.scores.query("head == 'texture' and `class` == 'all' and model == 'tower'")
    assert len(scores) and scores["value"].isna().all() and (scores["n"] == 0).all()


def test_a_loss_that_is_not_finite_stops_the_run_and_leaves_no_model(copy, labeller):
    with pytest.raises(TrainingError, match=r"epoch 1, step \d of 5: the loss of .* is not finite"):
        rerun(copy, labeller, head_lr=1e30)
    assert not (copy / "models" / "tower" / "config.json").exists()
    # With the old rate again nothing is taken for granted of what the stopped training touched.
    assert names(rerun(copy, labeller)) == ["training tower"]


def test_a_machine_without_gpu_is_written_down(whole):
    for name in ("tower", "scratch"):
        config = json.loads((whole / "models" / name / "config.json").read_text())
        assert config["hardware"] == "cpu, fp32: torch sees no CUDA GPU"
