import dataclasses
import hashlib
import json
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("torch", reason="the labeller needs the extra 'models'")

import open_clip
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from scipy import stats

from swatchbook.drawn.balanced import SIDE, drawn_labels, drawn_pictures, training_images
from swatchbook.labeller import BUNDLED
from swatchbook.labeller.cosines import cosine_table
from swatchbook.labeller.files import CONFIG, FIXTURE, REVISIONS
from swatchbook.labeller.open_clip_network import halved
from swatchbook.labeller.silver import silver_table
from swatchbook.labeller.training import task, train
from swatchbook.labeller.training.augment import COLUMNS, augmented
from swatchbook.labeller.training.captions import HELD_OUT, WORDS, Caption
from swatchbook.labeller.training.quality import cosines_of, drawn_schema
from swatchbook.labeller.training.recipe import RECIPE, Design, model_config
from swatchbook.labeller.training.tokenizer import write_tokenizer
from swatchbook.labeller.training.train import model_card
from swatchbook.labeller.zero_shot import Labeller, LabellerError, fixture_picture, write_fixture
from swatchbook.models.augment import random_draws
from swatchbook.models.finished import WEIGHTS as MODEL_WEIGHTS
from swatchbook.models.step import Stepper
from swatchbook.models.task import Batch

pytestmark = pytest.mark.usefixtures("one_thread")

WEIGHTS = "open_clip_model.safetensors"
SIGLIP = "Marqo/marqo-fashionSigLIP"


@pytest.fixture(scope="module")
def bundled() -> Labeller:
    return Labeller.load("bundled", device="cpu", runtime="open_clip")


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> Path:
    """A folder with a random model of another shape than the bundled one, prepared as SigLIP's is."""
    folder = tmp_path_factory.mktemp("small")
    config = {
        "model_cfg": {
            "embed_dim": 16,
            "init_logit_bias": -10,
            "custom_text": True,
            "vision_cfg": {"image_size": 64, "timm_model_name": "test_nfnet", "timm_pool": "avg"},
            "text_cfg": {
                "context_length": 16,
                "vocab_size": 768,
                "hf_tokenizer_name": "timm/ViT-B-16-SigLIP",
                "tokenizer_kwargs": {"clean": "canonicalize"},
                "width": 16,
                "heads": 2,
                "layers": 1,
                "no_causal_mask": True,
                "pool_type": "last",
            },
        },
        "preprocess_cfg": {
            "mean": [0.5, 0.25, 0.75],
            "std": [0.5, 0.125, 0.3],
            "interpolation": "bicubic",
            "resize_mode": "squash",
        },
    }
    (folder / CONFIG).write_text(json.dumps(config))
    write_tokenizer(["a red garment", "blue fabric"], folder)
    torch.manual_seed(0)
    model = open_clip.create_model(f"local-dir:{folder}", load_weights=False)
    save_file(model.state_dict(), folder / WEIGHTS)
    return folder


def copied(source: Path, target: Path, **config: object) -> Path:
    """A copy of a model's folder with some of its preprocessing changed."""
    shutil.copytree(source, target)
    printed = json.loads((target / CONFIG).read_text())
    printed["preprocess_cfg"] |= config
    (target / CONFIG).write_text(json.dumps(printed))
    return target


def load(folder: Path) -> Labeller:
    return Labeller.load(f"local-dir:{folder}", device="cpu", log=lambda _: None, runtime="open_clip")


def hub_cache(source: Path, cache: Path) -> Path:
    """A model's folder as the Hub's cache would hold it: blobs by digest, a snapshot of links."""
    root = cache / "models--Marqo--marqo-fashionSigLIP"
    snapshot = root / "snapshots" / REVISIONS[SIGLIP]
    snapshot.mkdir(parents=True)
    (root / "blobs").mkdir()
    (root / "refs").mkdir()
    (root / "refs" / "main").write_text(REVISIONS[SIGLIP])
    for file in source.iterdir():
        blob = root / "blobs" / hashlib.sha256(file.read_bytes()).hexdigest()
        shutil.copy(file, blob)
        (snapshot / file.name).symlink_to(os.path.relpath(blob, snapshot))
    return snapshot


# loading ------------------------------------------------------------------------------------------


def test_the_published_labeller_loads_by_name_from_a_cache_without_a_network(small, tmp_path):
    hub_cache(small, tmp_path / "hub")
    code = """
import sys
from swatchbook.labeller.zero_shot import Labeller, LabellerError, fixture_picture
labeller = Labeller.load("hf-hub:Marqo/marqo-fashionSigLIP", device="cpu")
print(labeller.revision, labeller.encode([fixture_picture()]).shape)
try:
    Labeller.load("hf-hub:nobody/absent", device="cpu")
except LabellerError as error:
    print(error)
"""
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)}
    environment.pop("HF_HUB_CACHE", None)
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    described, found, missing = done.stdout.strip().splitlines()
    assert "its own logit scale is 14.3; confidences are a softmax at 100" in described
    assert found == f"{REVISIONS[SIGLIP]} (1, 16)"
    assert f"not whole in the cache {tmp_path / 'hub'} and cannot be fetched" in missing
    assert missing.endswith("hf download nobody/absent --revision main")


def test_a_cached_file_that_is_not_what_its_name_says_is_refused(small, tmp_path):
    snapshot = hub_cache(small, tmp_path)
    blob = (snapshot / WEIGHTS).resolve()
    content = bytearray(blob.read_bytes())
    content[-1] ^= 1
    blob.write_bytes(content)
    with pytest.raises(LabellerError, match=r"has SHA-256 [0-9a-f]{64}, not [0-9a-f]{64}: it is damaged"):
        Labeller.load(f"hf-hub:{SIGLIP}", cache_dir=tmp_path, device="cpu")


def test_preprocessing_comes_from_the_models_config(small):
    # Weights loaded into an architecture by name get OpenAI's mean and deviation instead.
    resize, *_, normalise = load(small).network.preprocess.transforms
    assert tuple(normalise.mean) == (0.5, 0.25, 0.75)
    assert tuple(normalise.std) == (0.5, 0.125, 0.3)
    assert tuple(resize.size) == (64, 64), "squash: both sides are named"
    seen = load(small).network.preprocess(Image.new("RGB", (10, 30), (255, 0, 51)))
    assert seen.shape == (3, 64, 64)
    np.testing.assert_allclose(seen[:, 5, 5], [0.5 / 0.5, -0.25 / 0.125, (0.2 - 0.75) / 0.3], rtol=1e-5)


def test_a_preprocessing_is_halved_bit_for_bit(small, rng):
    for labeller in (load(small), load(BUNDLED)):
        pictures = [
            Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8))
            for size in ((90, 70), (70, 200))
        ]
        network = labeller.network
        halves = network.normalise(torch.from_numpy(np.stack([network.shrink(p) for p in pictures])))
        assert torch.equal(halves, torch.stack([network.preprocess(picture) for picture in pictures]))
        assert network.shrink(pictures[0]).dtype == np.uint8


def test_a_preprocessing_of_another_kind_is_left_whole():
    views = torch.rand(2, 3, 4, 4)
    shrink, normalise = halved(lambda picture: torch.tensor(picture.size))
    assert shrink(Image.new("RGB", (3, 4))).tolist() == [3, 4] and normalise(views) is views


@pytest.mark.parametrize(
    "wrong",
    [
        {"mean": [0.48145466, 0.4578275, 0.40821073], "std": [0.26862954, 0.26130258, 0.27577711]},
        {"mean": [0.0] * 3, "std": [1.0] * 3},
        {"resize_mode": "shortest"},
        {"resize_mode": "longest"},
    ],
    ids=["OpenAI's mean and deviation", "none", "cut", "padded"],
)
def test_wrong_preprocessing_is_detected(wrong, tmp_path):
    folder = copied(BUNDLED, tmp_path / "wrong", **wrong)
    with pytest.raises(LabellerError, match=r"preprocessing differs: .*at least 0.999"):
        load(folder)


def test_a_config_without_mean_and_deviation_is_refused(small, tmp_path):
    folder = copied(small, tmp_path / "bare")
    printed = json.loads((folder / CONFIG).read_text())
    (folder / CONFIG).write_text(json.dumps({"model_cfg": printed["model_cfg"]}))
    with pytest.raises(LabellerError, match=r"preprocess_cfg with mean and std"):
        load(folder)


def test_weights_with_a_wrong_or_missing_key_are_refused(small, tmp_path):
    folder = copied(small, tmp_path / "keys")
    weights = load_file(folder / WEIGHTS)
    save_file({("other" if k == "logit_scale" else k): v for k, v in weights.items()}, folder / WEIGHTS)
    with pytest.raises(LabellerError, match=r"cannot be loaded"):
        load(folder)


def test_other_weights_than_the_fixtures_are_refused(small, tmp_path):
    folder = copied(small, tmp_path / "changed")
    write_fixture(folder)
    load(folder)
    weights = load_file(folder / WEIGHTS)
    weights["logit_scale"] += 1
    save_file(weights, folder / WEIGHTS)
    with pytest.raises(LabellerError, match=r"SHA-256"):
        load(folder)


def test_weights_that_carry_code_are_not_run(small, tmp_path):
    folder = copied(small, tmp_path / "pickle")
    (folder / WEIGHTS).unlink()
    trap = tmp_path / "ran"
    bomb = type("Bomb", (), {"__reduce__": lambda self: (Path.touch, (trap,))})()
    torch.save(
        {"state_dict": {"logit_scale": bomb}}, folder / "open_clip_pytorch_model.bin", pickle_module=pickle
    )
    with pytest.raises(LabellerError, match=r"cannot be loaded"):
        load(folder)
    assert not trap.exists()


def test_a_folder_without_weights_is_no_random_model(small, tmp_path):
    folder = copied(small, tmp_path / "empty")
    (folder / WEIGHTS).unlink()
    with pytest.raises(LabellerError, match=r"has no weights; looked for open_clip_model.safetensors"):
        load(folder)


@pytest.mark.parametrize("name", ["ViT-B-16-SigLIP", "hf-hub:", "hf-hub:../x/y", "local-dir:", "packaged"])
def test_names_of_no_known_form_are_refused(name):
    with pytest.raises(
        ValueError, match=r"allowed: bundled, drawn-only, fashion-siglip, .*hf-hub:OWNER/NAME"
    ):
        Labeller.load(name)


def test_the_bundled_weights_fit_the_package():
    assert (BUNDLED / WEIGHTS).stat().st_size <= 16 * 2**20
    assert (BUNDLED / "MODEL_CARD.md").is_file()
    recipe = json.loads((BUNDLED / "recipe.json").read_text())["recipe"]
    design = Design(**{field.name: recipe[field.name] for field in dataclasses.fields(Design)})
    assert model_config(design) == json.loads((BUNDLED / CONFIG).read_text())
    # What it was trained with is what the command would take today.
    options = vars(train._parser().parse_args(["--work", "somewhere"]))
    assert {name: options[name] for name in recipe} == recipe


# embeddings ---------------------------------------------------------------------------------------


def test_class_embeddings_are_those_of_open_clip(bundled, schema):
    ours = bundled.class_embeddings(schema)
    for attribute in schema:
        theirs = open_clip.build_zero_shot_classifier(
            bundled.network.model,
            bundled.network.tokenizer,
            list(attribute.surface.values()),
            list(attribute.templates),
        )
        np.testing.assert_allclose(ours[attribute.name], theirs.T.numpy(), atol=1e-6)


def test_a_picture_is_encoded_alike_from_a_file_and_from_memory(bundled, tmp_path):
    fixture_picture().save(tmp_path / "a.png")
    # One by one: the last bit may depend on the place in a batch.
    both = bundled.encode([tmp_path / "a.png", fixture_picture(), str(tmp_path / "a.png")], batch=1)
    assert both.dtype == np.float32 and both.shape == (3, 128)
    np.testing.assert_array_equal(both[0], both[1])
    np.testing.assert_array_equal(both[0], both[2])
    np.testing.assert_allclose(np.linalg.norm(both, axis=1), 1, rtol=1e-6)
    stored = json.loads((BUNDLED / FIXTURE).read_text())["embedding"]
    np.testing.assert_allclose(both[0], stored, atol=1e-4)


def test_encoding_nothing_is_refused(bundled):
    with pytest.raises(ValueError, match=r"no images to encode"):
        bundled.encode([])
    with pytest.raises(ValueError, match=r"batch must be at least 1; received 0"):
        bundled.encode([fixture_picture()], batch=0)


def test_the_bundled_labeller_beats_the_commonest_class_on_fresh_drawings(bundled):
    labels = drawn_labels(240, seed=424242)
    schema = drawn_schema()
    found = bundled.encode(drawn_pictures(labels, seed=424242))
    silver = silver_table(cosines_of(bundled, found, schema), schema)
    for name, margin in {"color": 0.6, "pattern": 0.6, "texture": 0.4}.items():
        right = (silver[name] == labels[name]).sum()
        low = stats.binomtest(int(right), len(labels)).proportion_ci(method="wilson").low
        assert low > labels[name].value_counts().max() / len(labels) + margin, name


def test_the_model_card_says_where_the_labeller_is_no_better_than_the_commonest_class():
    printed = json.loads((BUNDLED / "recipe.json").read_text())
    drawn = pd.DataFrame(printed["drawn"])
    whole = drawn[(drawn["class"] == "all") & (drawn["prompts"] == "schema")].set_index(
        ["attribute", "metric"]
    )
    useless = {a for a in WORDS if (a, "accuracy") in whole.index} - {
        a
        for a in WORDS
        if (a, "accuracy") in whole.index
        and whole.loc[(a, "accuracy"), "low"] >= whole.loc[(a, "majority"), "value"] + 0.02
    }
    assert "color" not in useless
    output = model_card(printed, 1, drawn, None, None)
    assert (
        f"Of {' and '.join(a for a in drawn['attribute'].unique() if a in useless)} it is no better" in output
    )
    drawn.loc[drawn["metric"] == "majority", "value"] = 0.0
    assert "Of every attribute it is clearly better" in model_card(printed, 1, drawn, None, None)


def test_sentences_never_taught_are_understood(bundled):
    taught, unseen = (
        bundled.class_embeddings(drawn_schema()),
        bundled.class_embeddings(drawn_schema(held_out=True)),
    )
    assert all(frames for frames in HELD_OUT.values())
    for name in ("color", "pattern", "texture"):
        nearest = (unseen[name] @ taught[name].T).argmax(axis=1)
        assert nearest.tolist() == list(range(len(nearest))), name


# shards -------------------------------------------------------------------------------------------


@pytest.fixture
def files(tmp_path) -> list[Path]:
    folder = tmp_path / "images"
    folder.mkdir()
    for i, picture in enumerate(drawn_pictures(drawn_labels(10, 5), 5, size=64)):
        picture.save(folder / f"{i}.png")
    return sorted(folder.iterdir())


def counted(monkeypatch, stop_at: int | None = None) -> list[int]:
    """Count the batches that are embedded; stop the program at one of them."""
    calls: list[int] = []
    embed = Labeller.embed

    def counting(self: Labeller, tensors: list[torch.Tensor]) -> np.ndarray:
        calls.append(len(tensors))
        if len(calls) == stop_at:
            raise KeyboardInterrupt
        return embed(self, tensors)

    monkeypatch.setattr(Labeller, "embed", counting)
    return calls


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_encoding_resumes_with_the_same_bytes(bundled, files, schema, tmp_path, monkeypatch):
    sizes = {"batch": 2, "shard": 4}
    whole, _ = cosine_table(bundled, files, schema, tmp_path / "whole", **sizes)
    with monkeypatch.context() as patch:
        counted(patch, stop_at=4)
        with pytest.raises(KeyboardInterrupt):
            cosine_table(bundled, files, schema, tmp_path / "cut", **sizes)
    assert list(contents(tmp_path / "cut")) == ["shard-00000.npz"]
    calls = counted(monkeypatch)
    resumed, broken = cosine_table(bundled, files, schema, tmp_path / "cut", **sizes)
    assert calls == [2, 2, 2], "the first shard is not encoded again"
    assert contents(tmp_path / "cut") == contents(tmp_path / "whole")
    pd.testing.assert_frame_equal(resumed, whole, check_exact=True)
    assert broken.empty


def test_cosines_are_those_of_images_with_classes(bundled, files, schema, tmp_path):
    cosines, _ = cosine_table(bundled, files, schema, tmp_path / "shards")
    expected = bundled.encode(files)
    classes = bundled.class_embeddings(schema)
    for attribute in schema:
        columns = [f"{attribute.name}:{label}" for label in attribute.classes]
        # Texture has the classes of `wardrobe`, for which the labeller is calibrated.
        factor = bundled.calibration.factors["texture"] if attribute.name == "texture" else 1.0
        np.testing.assert_allclose(cosines[columns], factor * expected @ classes[attribute.name].T, atol=1e-5)
    assert bundled.calibration.factors["texture"] != 1.0
    assert (cosines.dtypes == np.float32).all()


def test_only_what_changed_is_encoded_again(bundled, files, schema, tmp_path, monkeypatch):
    sizes = {"batch": 2, "shard": 4}
    cosine_table(bundled, files, schema, tmp_path / "s", **sizes)
    before = contents(tmp_path / "s")

    calls = counted(monkeypatch)
    cosine_table(bundled, files, schema, tmp_path / "s", **sizes)
    assert calls == []

    damaged = bytearray(before["shard-00001.npz"])
    damaged[len(damaged) // 2] ^= 1
    (tmp_path / "s" / "shard-00001.npz").write_bytes(damaged)
    cosine_table(bundled, files, schema, tmp_path / "s", **sizes)
    assert calls == [2, 2]
    assert contents(tmp_path / "s") == before

    then = files[9].stat()
    files[9].write_bytes(files[0].read_bytes())  # another image under the same name
    os.utime(files[9], ns=(then.st_atime_ns, then.st_mtime_ns))
    swapped, _ = cosine_table(bundled, files, schema, tmp_path / "s", **sizes)
    assert calls == [2, 2, 2]
    np.testing.assert_allclose(swapped.iloc[9], swapped.iloc[0], atol=1e-5)

    asked = dataclasses.replace(schema["color"], templates=("{}",))
    other = dataclasses.replace(schema, attributes=(asked,))
    cosine_table(bundled, files, other, tmp_path / "s", **sizes)
    assert calls == [2] * 8, "other prompts, other cosines"


def test_a_few_broken_files_are_listed_and_many_stop_the_run(bundled, files, schema, tmp_path):
    files[3].write_bytes(files[3].read_bytes()[:200])
    files[7].write_bytes(b"<html>not found</html>")
    cosines, broken = cosine_table(bundled, files, schema, tmp_path / "a", tolerated=0.2)
    assert broken["path"].tolist() == [str(files[3]), str(files[7])]
    assert broken["reason"].str.len().gt(0).all()
    assert cosines.isna().all(axis=1).tolist() == [i in (3, 7) for i in range(10)]
    again, listed = cosine_table(bundled, files, schema, tmp_path / "a", tolerated=0.2)
    pd.testing.assert_frame_equal(again, cosines, check_exact=True)
    pd.testing.assert_frame_equal(listed, broken)
    with pytest.raises(ValueError, match=r"2 of 10 images are unreadable, more than 1.0%: .*3\.png"):
        cosine_table(bundled, files, schema, tmp_path / "a")
    silver = silver_table(cosines, schema, thresholds={"color": 0.0})
    assert silver["color"].isna().tolist() == [i in (3, 7) for i in range(10)]


# training -----------------------------------------------------------------------------------------


SMALL_DESIGN = Design(
    images=32, photograph_share=0, seen_pixels=64, tower="test_resnet", embed=16, width=32, layers=1, tuning=1
)
SMALL_RECIPE = dataclasses.replace(
    RECIPE,
    image_size=64,
    crop_share=64 / SIDE,
    early_size=32,
    early=0.65,
    warmup_epochs=1,
    backbone_lr=5e-3,
    head_lr=5e-3,
    text_lr=5e-3,
    epochs=3,
    batch=16,
    threads=1,
    precision="fp32",
)


def test_training_learns_and_resumes_with_the_same_weights(tmp_path, monkeypatch):
    task.train(SMALL_DESIGN, SMALL_RECIPE, tmp_path / "whole", tmp_path / "w1", "cpu", workers=1)
    history = pd.read_csv(tmp_path / "w1/model/history.csv")
    # The last epoch's loss is that of cosines times 100, the first's of cosines times 16.
    assert history["train_loss"].iloc[1] < 0.95 * history["train_loss"].iloc[0]
    started = json.loads((tmp_path / "w1/tuned/config.json").read_text(encoding="utf-8"))["network"]["start"]
    weights = (tmp_path / "w1/model" / MODEL_WEIGHTS).read_bytes()
    assert started == hashlib.sha256(weights).hexdigest()  # it is tuned from there
    take, taken = Stepper.take, []

    def stopped(*given: object) -> dict:
        taken.append(given[-1])
        if len(taken) == 5:  # the first of two steps of the last epoch
            raise KeyboardInterrupt
        return take(*given)

    with monkeypatch.context() as patch:
        patch.setattr(Stepper, "take", stopped)
        with pytest.raises(KeyboardInterrupt):
            task.train(SMALL_DESIGN, SMALL_RECIPE, tmp_path / "cut", tmp_path / "w2", "cpu", workers=1)
    assert taken == [32, 32, 32, 32, 64]  # two of three epochs see smaller images
    assert not (tmp_path / "cut" / WEIGHTS).exists()
    task.train(SMALL_DESIGN, SMALL_RECIPE, tmp_path / "cut", tmp_path / "w2", "cpu", workers=1)
    assert contents(tmp_path / "cut") == contents(tmp_path / "whole")
    assert load(tmp_path / "whole").logit_scale == pytest.approx(100, rel=1e-3)
    # What is finished is not trained again, only written.
    monkeypatch.setattr(Stepper, "take", None)
    task.train(SMALL_DESIGN, SMALL_RECIPE, tmp_path / "again", tmp_path / "w2", "cpu", workers=1)
    assert contents(tmp_path / "again") == contents(tmp_path / "whole")
    other = dataclasses.replace(SMALL_RECIPE, backbone_lr=1e-3)
    with pytest.raises(ValueError, match=r"w2 belongs to another recipe"):
        task.train(SMALL_DESIGN, other, tmp_path / "cut", tmp_path / "w2", "cpu", workers=1)
    with pytest.raises(ValueError, match=r"does not hold 16 images of seed 1"):
        training_images(tmp_path / "w2" / "images", 16, 1, 1)


def test_what_cannot_be_trained_is_refused(tmp_path):
    for design, recipe, message in [
        (SMALL_DESIGN, {"batch": 64}, "images must be at least batch=64; received 32"),
        (SMALL_DESIGN, {"early_size": 50}, r"recipe.early_size must be a multiple of 32; received 50"),
    ]:
        settings = dataclasses.replace(SMALL_RECIPE, **recipe)
        with pytest.raises(ValueError, match=message):
            task.train(design, settings, tmp_path / "out", tmp_path / "work", "cpu", workers=1)
    with pytest.raises(ValueError, match="layers must be at least 1; received 0"):
        Design(layers=0)
    with pytest.raises(ValueError, match="plain must be above 0; received nan"):
        Design(plain=float("nan"))


def test_a_caption_is_right_for_every_image_with_its_classes_and_undecided_where_one_is_unknown():
    labels = pd.DataFrame(
        [["red", "solid"], ["red", "floral"], ["blue", "floral"]], columns=["color", "pattern"]
    ).assign(texture="smooth", folder="lawn")
    unknown = pd.DataFrame([["red", None, "smooth", None]], columns=["color", "pattern", "texture", "folder"])
    labels = pd.concat([labels, unknown], ignore_index=True)
    captions = [
        Caption("", {"color": "red"}),
        Caption("", {"color": "red", "pattern": "floral"}),
        Caption("", {"folder": "lawn"}),
    ]
    right = [[1, 0, 1], [1, 1, 1], [0, 0, 1], [1, -1, -1]]  # of a photograph nobody knows the cloth
    assert task.matches(labels, captions).tolist() == right
    blue = [Caption("", {"folder": "lawn", "color": "blue"})]
    assert task.matches(labels, blue).tolist() == [[0], [0], [1], [0]]  # wrong, whatever its cloth


def test_the_loss_is_its_formula(monkeypatch):
    monkeypatch.setattr(task, "WORDS", {"color": dict.fromkeys("ab"), "pattern": dict.fromkeys("cd")})
    axes = torch.eye(2)
    images = axes  # two images, along the axes
    texts = torch.cat([axes, axes.flip(0), axes[:1]])  # colours, patterns, one caption
    targets = {"color": torch.tensor([0, 1]), "pattern": torch.tensor([-1, -1])}
    targets["right"] = torch.tensor([[1.0], [0.0]])
    batch = Batch(targets, {"color": 2, "pattern": 0, "pairs": 2})
    losses = task.drawn_losses(images, texts, batch, bias=torch.tensor(-1.0), scale=2.0)
    assert list(losses) == ["color", "pattern", "pairs"]
    assert losses["color"].item() == pytest.approx(np.log(1 + np.exp(-2.0)), rel=1e-6)
    assert losses["pattern"].item() == 0
    batch.targets["right"][1] = -1  # counts on neither side
    without = task.drawn_losses(images, texts, batch, bias=torch.tensor(-1.0), scale=2.0)
    assert without["pairs"].item() == pytest.approx(0.5 * np.log(1 + np.exp(-(2.0 - 1.0))), rel=1e-6)
    smooth = task.drawn_losses(images, texts, batch, bias=torch.tensor(-1.0), scale=2.0, smoothing=0.2)
    assert smooth["color"].item() == pytest.approx(np.log(1 + np.exp(-2.0)) + 0.1 * 2.0, rel=1e-6)
    sigmoid = 0.5 * np.log(1 + np.exp(-(2.0 - 1.0))) + 0.5 * np.log(1 + np.exp(-1.0))
    assert losses["pairs"].item() == pytest.approx(sigmoid, rel=1e-6)


def test_prompts_and_captions_of_a_step_are_of_its_images(tmp_path):
    labels = drawn_labels(40, 3)
    write_tokenizer(["a red garment", "blue fabric"], tmp_path)
    (tmp_path / CONFIG).write_text(json.dumps(model_config(SMALL_DESIGN)))
    labels = labels.assign(material=None, photograph=False)
    training = task.GarmentCaptions(tmp_path, labels, SMALL_DESIGN)
    training.build(SMALL_RECIPE)
    training.prepare(SMALL_RECIPE, "cpu", print)
    rows = np.array([3, 17, 4, 28])
    inputs, drawn = training.inputs(rows, np.random.default_rng(1))
    prompts = sum(len(WORDS[name]) for name in task.PROMPTED)
    assert inputs["texts"].shape[0] == prompts + 4 and drawn["right"].shape == (4, 4)
    assert (drawn["right"].sum(0) >= 1).all()  # every caption is right for its own image at least
    again, _ = training.inputs(rows, np.random.default_rng(1))
    assert torch.equal(inputs["texts"], again["texts"])
    often = training.sampling(SMALL_RECIPE)
    solid = (labels["pattern"] == "solid") & ~labels["folder"].isin(["denim", "chambray"])
    red = solid & (labels["color"] == "red")
    assert often[red] == pytest.approx(3.0)
    photographs = pd.DataFrame({"color": ["red", "red", None], "pattern": ["solid", None, "floral"]})
    photographs = photographs.assign(texture=None, folder=None, material=None, photograph=True)
    both = pd.concat([labels, photographs], ignore_index=True)
    design = dataclasses.replace(SMALL_DESIGN, photograph_share=0.4)
    shares = task.GarmentCaptions(tmp_path, both, design).sampling(SMALL_RECIPE)
    assert shares.sum() == pytest.approx(1) and shares[40:].sum() == pytest.approx(0.4)
    # Of each attribute the inverse root of how many have the class: 1/√2 + 1, 1/√2, 1.
    assert shares[40:] / shares[42] == pytest.approx([2**-0.5 + 1, 2**-0.5, 1])
    assert (
        task.scale_at(0.0),
        task.scale_at(0.4),
        task.scale_at(0.65),
        task.scale_at(0.95),
    ) == pytest.approx((16, 16, 40, 100))


def test_augmentation_draws_each_image_for_itself_and_keeps_hue():
    image = torch.zeros(1, 144, 144, 3, dtype=torch.uint8)
    image[..., 0], image[..., 1], image[..., 2] = 180, 60, 40
    image[:, :72] = image[:, :72] // 2
    batch = image.repeat(32, 1, 1, 1)
    draws = torch.from_numpy(random_draws(3, 1, 32, COLUMNS))
    seen = augmented(batch, draws, RECIPE, 96).pixels
    assert seen.shape == (32, 3, 96, 96) and seen.min() >= 0 and seen.max() <= 1
    assert len({tuple(row) for row in seen.mean((2, 3)).round(decimals=4).tolist()}) == 32
    red, green, blue = seen.mean((2, 3)).T
    assert (red > 1.5 * green).all() and (green > blue).float().mean() > 0.9
    assert torch.equal(seen, augmented(batch, draws, RECIPE, 96).pixels)
    other = torch.from_numpy(random_draws(4, 1, 32, COLUMNS))
    assert not torch.equal(seen, augmented(batch, other, RECIPE, 96).pixels)
    # A view depends on its image's draws alone, so parts of a batch are seen as the whole.
    part = augmented(batch[5:9], draws[5:9], RECIPE, 96).pixels
    assert torch.allclose(part, seen[5:9], atol=1e-6)
    # Every column is used: another number in any of them changes what is seen.
    for column in range(COLUMNS):
        changed = draws.clone()
        changed[:, column] = (changed[:, column] + 0.5) % 1
        assert not torch.equal(augmented(batch, changed, RECIPE, 96).pixels, seen), column


def test_drawn_labels_are_uniform_and_uncoupled():
    labels = drawn_labels(4000, 3)
    for name in ("color", "pattern", "texture"):
        assert stats.chisquare(labels[name].value_counts()).pvalue > 0.001
    for pair in (("color", "pattern"), ("texture", "folder")):
        table = pd.crosstab(labels[pair[0]], labels[pair[1]])
        assert stats.chi2_contingency(table).pvalue > 0.001
