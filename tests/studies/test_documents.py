"""What the source documents claim and print: complete, keyed as our tables are, and what it adds up to."""

import pandas as pd
import pytest

from swatchbook.data.landmarks import SLOTS
from swatchbook.evaluation import challenge, landmarks, retrieval
from swatchbook.schema import Schema
from swatchbook.studies.documents import CLAIMS, read_claims, read_curves, read_numbers

STUDIES = ("challenge", "retrieval", "landmarks")
COLUMNS = {
    "challenge_scores": challenge.COLUMNS,
    "retrieval_scores": retrieval.COLUMNS,
    "landmark_scores": landmarks.COLUMNS,
}


@pytest.mark.parametrize("study", STUDIES)
def test_every_claim_says_what_is_printed_where_and_what_would_test_it(study):
    claims = read_claims(study)
    assert list(claims) == CLAIMS
    assert claims["claim"].is_unique
    assert claims.notna().all(axis=None)
    assert (claims.drop(columns="note").map(len) > 0).all(axis=None)
    assert claims["claim"].str.fullmatch("[a-z0-9_]+").all()


@pytest.mark.parametrize("study", STUDIES)
def test_every_number_is_keyed_by_columns_of_our_own_table(study):
    numbers = read_numbers(study)
    (table,) = numbers["table"].unique()
    keys = set(numbers) - {"table", "document", "place", "text", "value", "tolerance"}
    assert keys <= set(COLUMNS[table])
    assert not numbers.duplicated([*keys, "place"]).any()
    assert numbers["value"].between(0, 1).all()
    assert set(numbers["document"]) <= {*read_claims(study)["document"], "others", "liu", "2601.15711"}


def test_a_number_is_as_exact_as_it_is_printed():
    numbers = read_numbers("challenge")
    row = numbers[numbers["text"] == "0.57721"].iloc[0]
    assert (row["value"], row["tolerance"]) == (0.57721, pytest.approx(5e-6))
    assert numbers.loc[numbers["text"] == "0.6", "tolerance"].item() == pytest.approx(0.05)


def test_the_percentages_of_the_thesis_follow_from_its_numbers():
    numbers = read_numbers("landmarks")
    ours = numbers[numbers["document"] == "004"].set_index(["place", "model", "task", "name", "k"])["value"]
    top = {model: ours["table 3.2 and section 3.3", model, "category", "all", 3] for model in ("mtl", "cat")}
    texture = {model: ours["section 3.3", model, "attributes", "texture", 3] for model in ("mtl", "cat")}
    assert round(top["mtl"] / top["cat"] - 1, 2) == 0.53
    assert round(texture["mtl"] / texture["cat"] - 1, 2) == 1.49


def test_the_published_error_is_the_plain_mean_of_eight_landmarks():
    numbers = read_numbers("landmarks").query("document == 'liu' and metric == 'normalized_error'")
    each = numbers.set_index("name")["value"]
    assert set(each.index) == {*SLOTS, "mean"}
    assert each[list(SLOTS)].mean() == pytest.approx(each["mean"], abs=5e-5)


def test_recall_at_five_of_six_positives_is_near_its_ceiling():
    numbers = read_numbers("retrieval").query(
        "task == 'attributes' and place == 'notebook of the repository'"
    )
    for row in numbers.itertuples():
        assert row.value < row.k / 6


def test_the_published_curves_are_nine_trainings_of_29_epochs():
    curves = read_curves("challenge")
    assert len(curves) == 9 * 29 * 2 * 7
    assert set(curves["group"]) == {*Schema.load("challenge").names, "all"}
    assert curves[["loss", "accuracy"]].isna().any(axis=1).sum() == 24
    assert (curves.loc[curves["loss"].isna(), "epoch"] == 29).all()
    validated = curves.query("split == 'val' and group == 'all'")
    best = validated.groupby(["model", "fc_layers"])["accuracy"].max().round(4)
    assert best["se_resnext50_32x4d"].tolist() == [0.8252, 0.8148, 0.8138]
    assert best["se_resnet50"].tolist() == [0.8099, 0.7952, 0.7726]


def test_the_groups_losses_add_up_and_their_accuracies_average_to_those_of_all():
    curves = read_curves("challenge").dropna(subset=["loss"])
    keys = ["model", "fc_layers", "split", "epoch"]
    groups = curves[curves["group"] != "all"].groupby(keys)
    whole = curves[curves["group"] == "all"].set_index(keys)
    complete = groups.size()[groups.size() == 6].index
    assert (groups["loss"].sum() - whole["loss"])[complete].abs().max() < 5e-5
    assert (groups["accuracy"].mean() - whole["accuracy"])[complete].abs().max() < 2e-5


def test_the_trainings_called_se_resnext_were_the_faster_ones():
    seconds = read_curves("challenge").groupby("model")["seconds"].median()
    assert isinstance(seconds, pd.Series)
    assert seconds.round(1).to_dict() == {"resnet50": 21.9, "se_resnet50": 39.7, "se_resnext50_32x4d": 33.8}
