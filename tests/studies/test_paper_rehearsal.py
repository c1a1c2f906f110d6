"""The paper's profile from an archive to its tables, without a network and without the real weights.

TextileNet is drawn, in its exact layout and with all 27 fabrics; DINOv2, ResNet-50 and FashionSigLIP have
their true architectures and names, and weights made here that lie in a local Hub cache as the Hub's own
client would leave them. But for sizes, and one prompt a class in place of five, it is a run on real data.
"""

import json
import os
import shutil
import subprocess
import sys
import tarfile
import textwrap
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

pytest.importorskip("torch", reason="making labels and models needs the extra 'models'")

import open_clip
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from swatchbook.drawn import write_dataset
from swatchbook.labeller.files import REVISIONS
from swatchbook.labeller.training.tokenizer import write_tokenizer
from swatchbook.pipeline.complete import narrative_stages
from swatchbook.schema import Schema
from swatchbook.store import sha256
from swatchbook.studies.study import Study
from tests.conftest import ROOT
from tests.models.test_network import DINOV2_AT_224, random_weights

SIGLIP, TOKENIZER = "Marqo/marqo-fashionSigLIP", "timm/ViT-B-16-SigLIP"
DINOV2, RESNET = "vit_base_patch14_dinov2.lvd142m", "resnet50.tv_in1k"
COMMITS = {f"timm/{DINOV2}": "d" * 40, f"timm/{RESNET}": "e" * 40, TOKENIZER: "f" * 40, **REVISIONS}
FLOOR, CAP_TRAIN, CAP_TEST = 16, 3, 2
GIB = 2**30


def skip_if_too_small(folder: Path) -> None:
    """The three true architectures need room, in memory and on disk."""
    if not hasattr(os, "sysconf") or "SC_AVPHYS_PAGES" not in os.sysconf_names:
        pytest.skip("this system does not say how much memory is free; 8 GiB are needed")
    lines = Path("/proc/meminfo").read_text().splitlines() if Path("/proc/meminfo").exists() else []
    output = next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable")), None)
    free = output or os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if free < 8 * GIB:
        pytest.skip(f"{free / GIB:.1f} GiB of memory are free; the true architectures need 8")
    if (room := shutil.disk_usage(folder).free) < 6 * GIB:
        pytest.skip(f"{room / GIB:.1f} GiB of disk are free; the true architectures need 6")


def put_into_hub_cache(cache: Path, repository: str, files: dict[str, Path]) -> None:
    """Move files to where the Hub's own client would have left them: blobs by digest, a snapshot of links."""
    home, commit = cache / f"models--{repository.replace('/', '--')}", COMMITS[repository]
    for part in ("blobs", "refs", f"snapshots/{commit}"):
        (home / part).mkdir(parents=True, exist_ok=True)
    (home / "refs" / "main").write_text(commit)
    for name, file in files.items():
        blob = home / "blobs" / sha256(file)
        shutil.move(file, blob)
        (home / "snapshots" / commit / name).symlink_to(Path("../../blobs") / blob.name)


def make_fashion_siglip(folder: Path) -> dict[str, Path]:
    """FashionSigLIP's files: its true architecture and preprocessing, with random weights."""
    preparation = {"mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bicubic", "resize_mode": "squash"}
    config = {"model_cfg": open_clip.get_model_config("ViT-B-16-SigLIP"), "preprocess_cfg": preparation}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    with torch.device("meta"):
        shapes = open_clip.create_model("ViT-B-16-SigLIP", load_weights=False, device="meta").state_dict()
    generator, weights = torch.Generator().manual_seed(11), {}
    for name, tensor in shapes.items():
        made = torch.randn(tensor.shape, generator=generator) * (0.03 if tensor.ndim > 1 else 0.0)
        weights[name] = made + (1.0 if "norm" in name or ".ln_" in name else 0.0) * name.endswith("weight")
    weights["logit_scale"] = torch.tensor(117.33).log()
    weights["logit_bias"] = torch.tensor(-12.9)
    assert sum(tensor.numel() for tensor in weights.values()) == pytest.approx(203.2e6, rel=1e-3)
    save_file(weights, folder / "open_clip_model.safetensors")
    return {path.name: path for path in folder.iterdir()}


def pack_textilenet(folder: Path, schema: Schema) -> Path:
    """An archive of drawn photographs under `fabric/`, with every fabric in both parts."""
    write_dataset(
        folder / "drawn", n_train=220, n_test=110, coupling=0.75, seed=8, schema=schema, size=64, orphans=0.1
    )
    fabric = folder / "drawn" / "fabric"
    for part in ("train", "test"):
        for name in schema.folders:
            (fabric / part / name).mkdir(exist_ok=True)
            if not any((fabric / part / name).iterdir()):
                other = next(p for p in sorted((fabric / part).glob("*/*.jpg")) if p.parent.name == "tweed")
                shutil.copy(other, fabric / part / name / f"266458_{name}.jpeg")
    with tarfile.open(folder / "fabric.tar.gz", "w:gz") as packed:
        packed.add(fabric, "fabric")
    shutil.rmtree(folder / "drawn")
    return folder / "fabric.tar.gz"


RUN = """
    import json, resource, sys
    from swatchbook.models.step import Stepper
    from swatchbook.studies.study import Study

    folder, source, audit = sys.argv[1:4]
    steps, take = [], Stepper.take
    Stepper.take = lambda *given: steps.append(1) or take(*given)
    settings = json.loads(sys.argv[4]) | ({"audit": audit} if audit else {})
    lines = []
    study = Study.open("paper", folder, source=source, log=lines.append, **settings)
    for stage in study.stages:
        # Occlusion takes hundreds of forward passes an image; it is tested on a small model.
        if not stage.name.startswith(("figure", "explanations")):
            study.ensure_stage(stage)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    figures = [stage.name for stage in study.stages if stage.name.startswith("figure")]
    print("\\n" + json.dumps({"steps": len(steps), "lines": lines, "peak": peak, "figures": figures}))
"""
SETTINGS = {
    "floor": FLOOR,
    "cap_train": CAP_TRAIN,
    "cap_test": CAP_TEST,
    "warmup_epochs": 0,
    "epochs": 1,
    "batch": 2,
    "eval_batch": 2,
    "threads": 1,
    "bootstrap": 20,
    "permutations": 20,
    "null_draws": 20,
    "power_draws": 20,
    "power_sizes": [20],
}


def run_paper(home: Path, audit: str = "") -> tuple[dict, str]:
    settings = SETTINGS | {"schema": str(home / "schema.yaml")}
    given = (home / "run", home / "fabric.tar.gz", audit, json.dumps(settings))
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(RUN), *given],
        env={**os.environ, "HF_HOME": str(home / "hf"), "HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""}
        | {"OMP_NUM_THREADS": "1"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout.splitlines()[-1]), done.stdout


@pytest.fixture(scope="module")
def home(schema, tmp_path_factory):
    """A folder with the archive and the Hub cache; gigabytes, so it goes when the tests are done."""
    home = tmp_path_factory.mktemp("paper")
    skip_if_too_small(home)
    pack_textilenet(home, schema)
    asked = yaml.safe_load((ROOT / "src" / "swatchbook" / "schemas" / "textilenet.yaml").read_text())
    for attribute in asked["attributes"].values():
        del attribute["templates"][1:]
    (home / "schema.yaml").write_text(yaml.safe_dump(asked, sort_keys=False))
    cache = home / "hf" / "hub"
    for name in (DINOV2, RESNET):
        save_file(random_weights(name), home / "weights")
        put_into_hub_cache(cache, f"timm/{name}", {"model.safetensors": home / "weights"})
    (home / "siglip").mkdir()
    put_into_hub_cache(cache, SIGLIP, make_fashion_siglip(home / "siglip"))
    (home / "tokenizer").mkdir()
    write_tokenizer(["a photo of a red garment", "clothing made of denim"], home / "tokenizer")
    put_into_hub_cache(cache, TOKENIZER, {p.name: p for p in (home / "tokenizer").iterdir()})
    yield home
    shutil.rmtree(home)


@pytest.fixture(scope="module")
def ran(home):
    """The run without an audit: what it said of itself, what it printed, and its folder."""
    message, printed = run_paper(home)
    return message, printed, home / "run"


def computed(message: dict) -> list[str]:
    return [
        line.split("computed  ")[1].rsplit(" in ", 1)[0] for line in message["lines"] if "computed  " in line
    ]


def test_all_27_fabrics_are_accounted_for(ran, schema):
    _, _, run = ran
    manifest, dropped = pd.read_parquet(run / "manifest.parquet"), pd.read_csv(run / "tables" / "dropped.csv")
    kept = set(manifest["folder"])
    assert len(schema.folders) == 27
    assert kept | set(dropped["folder"]) == set(schema.folders) and not kept & set(dropped["folder"])
    orphans = dropped[dropped["reason"].str.startswith("orphan")]
    assert set(orphans["folder"]) == {f for f, label in schema.folders.items() if label is None}
    assert (dropped[["images_train", "images_test"]] > 0).all(axis=None)
    rest = dropped[~dropped["folder"].isin(orphans["folder"])]
    assert rest["reason"].str.startswith("below the floor").all() and (rest["images_train"] < FLOOR).all()
    counts = pd.crosstab(manifest["folder"], manifest["split"])
    assert (counts["test"] == CAP_TEST).all() and (counts["train"] + counts["val"] == CAP_TRAIN).all()


def test_labels_come_from_fashion_siglip_by_name_and_pinned_commit(ran, schema):
    _, printed, run = ran
    output = f"labeller hf-hub:{SIGLIP} at {REVISIONS[SIGLIP][:12]} on cpu: its own logit scale is 117.3"
    assert output in printed
    manifest, cosines = pd.read_parquet(run / "manifest.parquet"), pd.read_parquet(run / "cosines.parquet")
    silver = pd.read_parquet(run / "silver.parquet")
    assert list(cosines)[1:] == [f"{a.name}:{label}" for a in schema for label in a.classes]
    values = cosines.drop(columns="image_id").to_numpy()
    assert values.shape == (len(manifest), 29) and values.dtype == np.float32
    assert np.isfinite(values).all() and np.abs(values).max() <= 1 and values.std(axis=0).min() > 0
    for table in (cosines, silver):
        assert table["image_id"].tolist() == manifest["image_id"].tolist()
    assert silver["material"].tolist() == [schema.folders[f] for f in manifest["folder"]]


def test_both_models_start_from_their_published_names_and_take_two_steps(ran, home):
    message, _, run = ran
    assert message["steps"] == 2 * 2
    for model, name, features in (("dinov2", DINOV2, 768), ("resnet50", RESNET, 2048)):
        config = json.loads((run / "models" / model / "config.json").read_text())
        output, snapshot = config["network"], home / "hf" / "hub" / f"models--timm--{name}" / "snapshots"
        start = snapshot / COMMITS[f"timm/{name}"] / "model.safetensors"
        assert (output["backbone"], output["source"]) == (name, f"timm/{name}")
        assert (output["revision"], output["sha256"]) == (COMMITS[f"timm/{name}"], sha256(start))
        assert (config["recipe"]["image_size"], config["side"], config["best_epoch"]) == (224, 256, 1)
        trained, made = load_file(run / "models" / model / "model.safetensors"), load_file(start)
        heads = {k: tuple(v.shape) for k, v in trained.items() if k.startswith("heads.")}
        assert [heads[f"heads.{i}.weight"] for i in range(4)] == [(k, features) for k in (6, 12, 6, 5)]
        assert sum(int(np.prod(shape)) for shape in heads.values()) == 29 * (features + 1)
        key = {"dinov2": "blocks.11.mlp.fc2.weight", "resnet50": "layer4.2.conv3.weight"}[model]
        # Two steps of at most 1e-5 each, and the decay, away from the weights in the cache.
        moved = (trained[f"backbone.{key}"] - made[key]).abs().max()
        assert 0 < moved < 2.5e-5
    assert 29 * (768 + 1) == 22_301


def test_dinov2_is_built_for_224_pixels(ran):
    _, _, run = ran
    with safe_open(run / "models" / "dinov2" / "model.safetensors", "pt") as file:
        shapes = {k: tuple(file.get_slice(k).get_shape()) for k in file.keys()}  # noqa: SIM118 - the file is no mapping
    assert shapes["backbone.pos_embed"] == (1, 257, 768)
    backbone = sum(int(np.prod(s)) for k, s in shapes.items() if k.startswith("backbone."))
    assert backbone == DINOV2_AT_224


def test_predictions_have_a_row_a_test_image_and_probabilities(ran, schema):
    _, _, run = ran
    manifest = pd.read_parquet(run / "manifest.parquet")
    test = manifest.loc[manifest["split"] == "test", "image_id"].tolist()
    assert np.load(run / "pixels.npy", mmap_mode="r").shape == (len(manifest), 256, 256, 3)
    for model in ("dinov2", "resnet50"):
        table = pd.read_parquet(run / "predictions" / f"{model}.parquet")
        assert table["image_id"].tolist() == test
        for a in schema:
            p = table[[f"{a.name}:{label}" for label in a.classes]].to_numpy()
            assert np.allclose(p.sum(axis=1), 1, atol=1e-5) and (p >= 0).all()
            assert table[a.name].tolist() == [a.classes[k] for k in p.argmax(axis=1)]


def test_without_an_audit_nothing_claims_to_know_the_truth(ran):
    message, _, run = ran
    tables = {path.stem for path in (run / "tables").glob("*.csv")}
    assert tables >= {"scores", "confusion", "coupling", "cells", "collapse", "selection", "comparison"}
    assert not tables & {"audit", "agreement", "power", "truth", "three_columns", "known"}
    assert pd.read_csv(run / "tables" / "rectified.csv")["value"].isna().all()
    claims = pd.read_csv(run / "tables" / "claims.csv").set_index("claim")["verdict"]
    unasked = set(claims.index[claims == "not asked"])
    assert unasked == {"audit_classes", "ceiling", "silver_is_truth", "twenty_images"} and len(claims) > 6
    assert not (run / "audit.csv").exists()
    assert not {"figure audit_scores", "figure audit_power", "figure truth"} & set(message["figures"])
    assert set(pd.read_csv(run / "tables" / "comparison.csv")["reference"]) == {"silver"}


def test_without_an_audit_all_notebooks_but_that_of_the_audit_are_told(home):
    study = Study.open("paper", home / "run")
    output = {stage.name for stage in narrative_stages(study, ROOT)}
    numbers = {name.split()[1][:2] for name in output if name.startswith("notebook")}
    assert numbers == {"01", "03", "04", "05", "06"}


def test_the_models_fit_into_the_memory_of_a_small_machine(ran):
    message, _, _ = ran
    assert message["peak"] * 1024 < 6 * GIB


def test_an_audit_file_adds_the_truth_and_redoes_no_model(ran, home, schema):
    _, _, run = ran
    manifest = pd.read_parquet(run / "manifest.parquet")
    judged = manifest.loc[manifest["split"] == "test", ["image_id"]].reset_index(drop=True)
    for a in schema:
        if a.labelled_by != "folder":
            judged[a.name] = [a.classes[i % 2] if i % 5 else "" for i in range(len(judged))]
    judged.to_csv(home / "audit.csv", index=False)
    message, _ = run_paper(home, str(home / "audit.csv"))
    assert message["steps"] == 0
    now, before = set(computed(message)), set(computed(ran[0]))
    assert now >= {"audit sheet", "audit", "audit power", "truth", "comparison", "claims"}
    made = {"manifest", "pixels", "duplicates", "cosines", "silver labels", "training dinov2"}
    assert before >= made | {"training resnet50", "scores", "coupling"}
    assert not now & (made | {"training resnet50", "scores", "coupling"})
    sheet = pd.read_csv(run / "audit.csv")
    assert len(sheet) == len(judged) and (sheet["weight"] == 1).all()
    assert set(pd.read_csv(run / "tables" / "comparison.csv")["reference"]) == {"silver", "audit"}
    assert {"figure audit_scores", "figure audit_power", "figure truth"} <= set(message["figures"])
