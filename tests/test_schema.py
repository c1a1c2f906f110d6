"""Schemas: what ships, and what a schema file may not say."""

import re
from importlib import resources

import numpy as np
import pandas as pd
import pytest
import yaml

from swatchbook.schema import Schema, SchemaError

CLASSES = {
    "material": "cotton silk_satin leather synthetic denim knitwear",
    "color": "black white red navy beige blue green yellow grey brown pink purple",
    "pattern": "solid striped checkered_plaid floral geometric animal_print",
    "texture": "smooth rough_coarse fluffy_furry ribbed_structured sheer",
}
PAPER = {
    "cotton": "chambray corduroy flannel gingham jersey lawn canvas twill",
    "knitwear": "knit fleece faux_fur plush velvet lace",
    "silk_satin": "satin chiffon organza taffeta",
    "synthetic": "neoprene vinyl tulle",
    "denim": "denim",
    "leather": "faux_leather",
    None: "tweed crepe chenille serge",
}
CONSTRUCTION = {
    **PAPER,
    "cotton": "chambray corduroy flannel gingham lawn canvas twill",
    "knitwear": "jersey knit",
    "pile": "fleece faux_fur plush velvet",
    "sheer_open": "lace chiffon organza tulle",
    "silk_satin": "satin taffeta",
    "synthetic": "neoprene vinyl",
}


def small() -> dict:
    """A schema that is right, to be made wrong in one place."""
    return {
        "name": "small",
        "attributes": {
            "cloth": {
                "labelled_by": "folder",
                "prompts_by": "ours",
                "templates": ["{} cloth"],
                "classes": {"wool": "woollen", "linen": "linen"},
            },
            "tone": {
                "labelled_by": "zero_shot",
                "prompts_by": "ours",
                "threshold": 0.5,
                "templates": ["a {} garment", "{} clothing"],
                "classes": {"dark": "dark", "light": "light"},
            },
        },
        "folder_maps": {
            "plain": {"source": "ours", "folders": {"tweed": "wool", "lawn": "linen", "odd": None}},
            "finer": {"source": "ours", "adds": {"felt": "felted"}, "folders": {"loden": "felt"}},
        },
    }


def load(tmp_path, content, **kwargs) -> Schema:
    path = tmp_path / "made_up.yaml"
    path.write_text(
        content if isinstance(content, str) else yaml.safe_dump(content, sort_keys=False), "utf-8"
    )
    return Schema.load(path, **kwargs)


def folders_of(expected: dict) -> dict:
    return {folder: label for label, folders in expected.items() for folder in folders.split()}


# What ships


def test_the_shipped_schema_has_the_29_classes_in_the_published_order(schema):
    assert {a.name: " ".join(a.classes) for a in schema} == CLASSES
    assert schema.names == tuple(CLASSES) and sum(len(a) for a in schema) == 29
    assert [len(a) for a in schema] == [6, 12, 6, 5]


def test_the_shipped_thresholds_are_the_published_ones(schema):
    assert [a.threshold for a in schema] == [None, 0.30, 0.40, 0.40]
    assert [a.labelled_by for a in schema] == ["folder", "zero_shot", "zero_shot", "zero_shot"]
    assert {a.prompts_by for a in schema} == {"ours"}


def test_every_shipped_class_has_five_different_prompts(schema):
    prompts = [p for a in schema for label in a.classes for p in a.prompts(label)]
    assert len(prompts) == len(set(prompts)) == 5 * 29
    assert schema["color"].prompts("navy")[0] == "a photo of a navy dark blue garment"
    assert not any("{" in p for p in prompts)


def test_the_six_pairs_are_in_schema_order(schema):
    assert schema.pairs == (
        ("material", "color"),
        ("material", "pattern"),
        ("material", "texture"),
        ("color", "pattern"),
        ("color", "texture"),
        ("pattern", "texture"),
    )


def test_the_published_folder_rule_is_the_default_and_covers_all_27_fabrics(schema):
    assert schema.folder_map == "paper" and len(schema.folders) == 27
    assert dict(schema.folders) == folders_of(PAPER)


def test_the_folder_rule_by_construction_adds_two_materials():
    schema = Schema.load("textilenet", folder_map="construction")
    assert dict(schema.folders) == folders_of(CONSTRUCTION)
    assert schema["material"].classes == (*CLASSES["material"].split(), "sheer_open", "pile")
    assert {a.name: " ".join(a.classes) for a in schema if a.name != "material"} == {
        name: classes for name, classes in CLASSES.items() if name != "material"
    }


def test_some_attributes_keep_their_order_and_the_folder_rule_goes_with_the_one_it_labels(schema):
    some = schema.only(["texture", "color"])
    assert some.names == ("color", "texture") and some.folder_map is None and not some.folders
    assert schema.only(["material"]).folders == schema.folders and schema.only(schema.names) == schema
    with pytest.raises(ValueError, match="attributes: shape; allowed: any of material, color"):
        schema.only(["shape"])
    with pytest.raises(ValueError, match="attributes: none; allowed"):
        schema.only([])


def test_a_schema_of_ones_own_is_read_from_its_path(tmp_path):
    schema = load(tmp_path, small())
    assert schema.name == "small" and schema.folder_map == "plain"
    assert schema["cloth"].classes == ("wool", "linen")
    assert schema["tone"].prompts("dark") == ("a dark garment", "dark clothing")
    finer = load(tmp_path, small(), folder_map="finer")
    assert finer["cloth"].classes == ("wool", "linen", "felt") and dict(finer.folders) == {"loden": "felt"}


def test_a_schema_without_a_folder_rule_is_read(tmp_path):
    content = small()
    del content["attributes"]["cloth"], content["folder_maps"]
    schema = load(tmp_path, content)
    assert schema.folder_map is None and dict(schema.folders) == {} and schema.names == ("tone",)


def test_an_unknown_attribute_is_named_with_the_known_ones(schema):
    with pytest.raises(
        KeyError, match=r"'size'; the schema 'textilenet' has material, color, pattern, texture"
    ):
        schema["size"]


# What is refused


def test_an_unknown_schema_name_is_refused():
    with pytest.raises(
        SchemaError, match=r"schema 'deepfasion' is unknown; allowed: .*textilenet.*or a path"
    ):
        Schema.load("deepfasion")


def test_a_schema_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(SchemaError, match=r"none.yaml' does not exist"):
        Schema.load(tmp_path / "none.yaml")


def test_an_unknown_folder_map_is_refused():
    with pytest.raises(SchemaError, match=r"folder map 'papre' is unknown; allowed: paper, construction"):
        Schema.load(folder_map="papre")


def put(content: dict, where: str, value: object) -> None:
    *parents, last = where.split("/")
    for key in parents:
        content = content[key]
    content[last] = value


WRONG = [
    ("authors", ["me"], "unknown key 'authors'; allowed: name, attributes, description, folder_maps"),
    ("attributes", {}, "attributes = {}; must have at least 1 item"),
    ("attributes", ["cloth"], "attributes = ['cloth']; must be a valid mapping"),
    ("attributes/tone", "dark", "attributes.tone: must be a mapping, not 'dark'"),
    (
        "attributes/tone/treshold",
        0.4,
        "attributes.tone: unknown key 'treshold'; did you mean threshold? allowed: labelled_by, prompts_by, templates, classes, threshold, multiple",
    ),
    (
        "attributes/tone/labelled_by",
        "hand",
        "attributes.tone.labelled_by = 'hand'; must be 'folder' or 'zero_shot'",
    ),
    ("attributes/tone/threshold", 1.01, "attributes.tone.threshold = 1.01; must be less than or equal to 1"),
    (
        "attributes/tone/threshold",
        -0.1,
        "attributes.tone.threshold = -0.1; must be greater than or equal to 0",
    ),
    ("attributes/tone/threshold", "0.4", "attributes.tone.threshold = '0.4'; must be a valid number"),
    ("attributes/tone/threshold", True, "attributes.tone.threshold = True; must be a valid number"),
    ("attributes/tone/threshold", None, "attributes.tone: threshold None; a number from 0 to 1 is needed"),
    ("attributes/tone/threshold", float("nan"), "attributes.tone.threshold = nan; must be a finite number"),
    (
        "attributes/cloth/threshold",
        0.4,
        "attributes.cloth: a threshold, and multiple, have no meaning for an attribute labelled by folder",
    ),
    ("attributes/tone/templates", [], "attributes.tone.templates = []; must have at least 1 item"),
    ("attributes/tone/templates", "a {}", "attributes.tone.templates = 'a {}'; must be a valid list"),
    (
        "attributes/tone/templates",
        ["a garment"],
        "attributes.tone.templates.0: template 'a garment' must hold exactly one {}",
    ),
    (
        "attributes/tone/templates",
        ["{} and {}"],
        "attributes.tone.templates.0: template '{} and {}' must hold exactly one {}",
    ),
    (
        "attributes/tone/templates",
        ["{} {x}"],
        "attributes.tone.templates.0: template '{} {x}' must hold exactly one {}",
    ),
    (
        "attributes/tone/templates",
        ["{0}"],
        "attributes.tone.templates.0: template '{0}' must hold exactly one {}",
    ),
    ("attributes/tone/templates", [7], "attributes.tone.templates.0 = 7; must be a valid string"),
    ("attributes/tone/templates", ["a {}", "a {}"], "attributes.tone: a template is written twice"),
    ("attributes/tone/classes", {}, "attributes.tone.classes = {}; must have at least 1 item"),
    ("attributes/tone/classes", ["dark"], "attributes.tone.classes = ['dark']; must be a valid mapping"),
    ("attributes/tone/classes/dark", "", "attributes.tone.classes.dark: must be a text with words, not ''"),
    (
        "attributes/tone/classes/dark",
        "  ",
        "attributes.tone.classes.dark: must be a text with words, not '  '",
    ),
    ("attributes/tone/classes/dark", None, "attributes.tone.classes.dark = None; must be a valid string"),
    ("attributes/tone/classes", {True: "yes"}, "line 19: key True is no text; quote it"),
    ("folder_maps", {}, "folder_maps serve exactly one attribute labelled by folder"),
    ("folder_maps", ["plain"], "folder_maps = ['plain']; must be a valid mapping"),
    ("folder_maps/plain", "x", "folder_maps.plain: must be a mapping, not 'x'"),
    ("folder_maps/plain/note", "x", "folder_maps.plain: unknown key 'note'; allowed: folders, source, adds"),
    ("folder_maps/plain/folders", {}, "folder_maps.plain.folders = {}; must have at least 1 item"),
    (
        "folder_maps/plain/folders/tweed",
        "silk",
        "folder_maps.plain: folder 'tweed' → 'silk' is no class; allowed: wool, linen, null",
    ),
    (
        "folder_maps/finer/folders/loden",
        "silk",
        "folder_maps.finer: folder 'loden' → 'silk' is no class; allowed: wool, linen, felt, null",
    ),
    ("folder_maps/finer/adds", {"wool": "woolly"}, "folder_maps.finer: class 'wool' is written twice"),
    ("folder_maps/finer/adds/felt", "", "folder_maps.finer.adds.felt: must be a text with words, not ''"),
]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "tone_confidence",
            "an attribute cannot be called 'tone_confidence'; tables have a column of that name",
        ),
        ("true_tone", "an attribute cannot be called 'true_tone'; tables have a column of that name"),
        ("image_id", "an attribute cannot be called 'image_id'"),
        ("../evil", "name '../evil'; allowed: up to 64 letters"),
        ("a:b", "name 'a:b'; allowed: "),
        ("a\nb", "name 'a\\nb'; allowed: "),
        (" a", "name ' a'; allowed: "),
        ("a.", "name 'a.'; allowed: "),
        ("x" * 65, "; allowed: up to 64 letters"),
    ],
)
def test_an_attribute_that_cannot_name_a_file_or_a_column_is_refused(tmp_path, name, message):
    """With `tone` and `tone_confidence` the classes of one would silently replace the other's confidences."""
    content = small()
    content["attributes"][name] = dict(content["attributes"]["tone"])
    with pytest.raises(SchemaError, match=re.escape(message)):
        load(tmp_path, content)


@pytest.mark.parametrize("name", ["größe", "sleeve length", "top-2", "色"])
def test_attributes_may_have_names_of_any_script(tmp_path, name):
    content = small()
    content["attributes"][name] = dict(content["attributes"]["tone"])
    assert load(tmp_path, content).names == ("cloth", "tone", name)


@pytest.mark.parametrize("label", ["a\nb", "a\x00", " a", "a\u202eb"])
def test_a_class_that_cannot_be_printed_is_refused(tmp_path, label):
    content = small()
    content["attributes"]["tone"]["classes"][label] = "words"
    with pytest.raises(SchemaError, match="allowed: signs that can be printed"):
        load(tmp_path, content)


def test_a_schema_that_is_nested_without_end_is_refused(tmp_path):
    with pytest.raises(SchemaError, match=r"nested too deeply|not valid YAML"):
        load(tmp_path, "name: " + "[" * 2_000)


@pytest.mark.parametrize(("where", "value", "message"), WRONG, ids=[f"{w}={v}" for w, v, _ in WRONG])
def test_a_schema_that_says_something_impossible_is_refused(tmp_path, where, value, message):
    content = small()
    put(content, where, value)
    with pytest.raises(SchemaError, match=re.escape(message)):
        load(tmp_path, content)


@pytest.mark.parametrize(
    ("where", "key"),
    [
        ("", "name"),
        ("", "attributes"),
        *(("attributes/tone", key) for key in ("labelled_by", "prompts_by", "templates", "classes")),
        ("folder_maps/plain", "folders"),
        ("folder_maps/plain", "source"),
    ],
)
def test_a_missing_key_is_refused(tmp_path, where, key):
    content = small()
    part = content
    for step in filter(None, where.split("/")):
        part = part[step]
    del part[key]
    with pytest.raises(SchemaError, match=rf"'{key}' is missing"):
        load(tmp_path, content)


def test_two_attributes_labelled_by_folder_are_refused(tmp_path):
    content = small()
    content["attributes"]["weave"] = dict(content["attributes"]["cloth"])
    with pytest.raises(SchemaError, match=r"folder_maps serve exactly one attribute"):
        load(tmp_path, content)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "      light: light\n",
            "      light: light\n      dark: dim\n",
            r"line \d+: 'dark' is written twice",
        ),
        ("name: small\n", "name: small\nname: other\n", r"made_up.yaml, line 2: 'name' is written twice"),
        ("      tweed: wool\n", "      tweed: wool\n      tweed: linen\n", r"'tweed' is written twice"),
    ],
)
def test_what_is_written_twice_is_refused_with_its_line(tmp_path, old, new, message):
    text = yaml.safe_dump(small(), sort_keys=False)
    assert old in text
    with pytest.raises(SchemaError, match=message):
        load(tmp_path, text.replace(old, new))


@pytest.mark.parametrize("text", ["- a\n- b\n", "", "just words\n"])
def test_a_file_without_a_mapping_is_refused(tmp_path, text):
    with pytest.raises(SchemaError, match=r"made_up.yaml: must be a mapping, not (\[|None|'just)"):
        load(tmp_path, text)


def test_a_file_that_is_not_yaml_is_refused(tmp_path):
    with pytest.raises(SchemaError, match=r"made_up.yaml is not valid YAML"):
        load(tmp_path, "name: [small\n")


def test_a_file_that_would_run_code_is_refused(tmp_path):
    with pytest.raises(SchemaError, match=r"not valid YAML: could not determine a constructor"):
        load(tmp_path, "name: !!python/object/apply:os.getcwd []\n")


# Encoding


def labels(**columns) -> pd.DataFrame:
    rows = {"material": ["cotton"], "color": ["black"], "pattern": ["solid"], "texture": ["sheer"]}
    return pd.DataFrame({**rows, **columns})


def test_labels_become_codes_in_schema_order(schema):
    every = pd.DataFrame({a.name: pd.Series(a.classes) for a in schema})
    codes = schema.encode(every)
    assert list(codes) == list(schema.names)
    for attribute in schema:
        expected = np.r_[np.arange(len(attribute)), np.full(12 - len(attribute), -1)]
        np.testing.assert_array_equal(codes[attribute.name], expected)
        assert codes[attribute.name].dtype == np.int16


@pytest.mark.parametrize("null", [None, np.nan, pd.NA])
def test_null_means_no_label(schema, null):
    assert schema.encode(labels(color=[null]))["color"].tolist() == [-1]
    frame = pd.concat([labels(), labels(color=[null])], ignore_index=True)
    assert schema.encode(frame)["color"].tolist() == [0, -1]


@pytest.mark.parametrize("kind", ["object", "string", "category"])
def test_the_kind_of_text_column_does_not_matter(schema, kind):
    frame = pd.concat([labels(), labels(color=[None])], ignore_index=True).astype(kind)
    assert schema.encode(frame)["color"].tolist() == [0, -1]


def test_a_missing_column_is_refused(schema):
    with pytest.raises(ValueError, match=r"silver labels: no column 'pattern'; got material, color, texture"):
        schema.encode(labels().drop(columns="pattern"), "silver labels")


def test_a_label_outside_the_schema_is_refused_with_its_row(schema):
    frame = pd.concat([labels(), labels(color=["teal"]), labels(color=["teal"])]).set_axis(["a", "b", "c"])
    with pytest.raises(
        ValueError, match=r"color 'teal' in row 'b' is not in the schema \(2 such\); allowed: black"
    ):
        schema.encode(frame)


@pytest.mark.parametrize("label", ["unknown", "Black", "black ", ""])
def test_labels_are_not_guessed(schema, label):
    with pytest.raises(ValueError, match=rf"color '{label}' in row 0 is not in the schema"):
        schema.encode(labels(color=[label]))


@pytest.mark.parametrize(
    ("line", "instead", "message"),
    [
        ("name: textilenet", "name: 3", "name = 3; must be a valid string"),
        (
            "    prompts_by: ours             #",
            "    prompts_by: #",
            "attributes.material.prompts_by = None; must be a valid string",
        ),
        ('      - "{} clothing"', '      - "a {} }"', "template 'a {} }' must hold exactly one {}"),
        ("      cotton: cotton\n", "      unknown: cotton\n", "class 'unknown' stands for a missing label"),
        ("  color:\n", "  image_id:\n", "an attribute cannot be called 'image_id'"),
        (
            "      chambray: cotton",
            "      chambray: [cotton]",
            "folder_maps.paper.folders.chambray = ['cotton']; must be a valid string",
        ),
        ("      chambray: cotton", "      7: cotton", "key 7 is no text; quote it"),
    ],
)
def test_values_of_the_wrong_kind_are_refused(tmp_path, line, instead, message):
    text = (resources.files("swatchbook") / "schemas" / "textilenet.yaml").read_text(encoding="utf-8")
    assert line in text
    path = tmp_path / "s.yaml"
    path.write_text(text.replace(line, instead, 1), encoding="utf-8")
    with pytest.raises(SchemaError) as refusal:
        Schema.load(path)
    assert message in str(refusal.value)


def test_encode_names_the_row_and_refuses_a_column_twice(schema):
    labels = pd.DataFrame({a.name: [a.classes[0]] * 2 for a in schema}, index=[7, 9])
    with pytest.raises(ValueError, match="in row 9 is not in the schema"):
        schema.encode(labels.assign(color=["black", "mauve"]))
    with pytest.raises(ValueError, match="column 'color' occurs twice"):
        schema.encode(pd.concat([labels, labels[["color"]]], axis=1))


# several classes at once ------------------------------------------------------------------------------------


def several(tmp_path) -> Schema:
    content = small()
    content["attributes"]["tone"]["multiple"] = True
    return load(tmp_path, content)


def test_an_attribute_may_have_several_classes_at_once(tmp_path):
    schema = several(tmp_path)
    assert schema["tone"].multiple and not schema["cloth"].multiple
    tones = ["dark;light", " light ; ", "", None, "dark;dark"]
    table = pd.DataFrame({"cloth": ["wool", *[None] * 4], "tone": tones})
    codes = schema.encode(table)["tone"]
    assert codes.dtype == np.int8
    assert codes.tolist() == [[1, 1], [0, 1], [0, 0], [-1, -1], [1, 0]]
    assert schema.encode(table.head(0))["tone"].shape == (0, 2)


def test_one_wrong_name_among_several_is_refused_with_its_row(tmp_path):
    schema = several(tmp_path)
    table = pd.DataFrame({"cloth": ["wool"] * 3, "tone": ["dark", "dark;teal", "light,dark"]})
    with pytest.raises(
        ValueError, match=r"tone 'dark;teal' in row 1 is not in the schema \(2 such\); allowed: dark"
    ):
        schema.encode(table)


@pytest.mark.parametrize(
    ("attribute", "key", "value", "message"),
    [
        ("tone", "multiple", "yes", "attributes.tone.multiple = 'yes'; must be a valid boolean"),
        (
            "cloth",
            "multiple",
            True,
            "attributes.cloth: a threshold, and multiple, have no meaning for an attribute labelled by folder",
        ),
        ("tone", "classes", {"dark;er": "dark", "light": "light"}, "class 'dark;er' holds ';'"),
    ],
)
def test_several_classes_at_once_that_cannot_be_are_refused(tmp_path, attribute, key, value, message):
    content = small()
    content["attributes"]["tone"]["multiple"] = True
    content["attributes"][attribute][key] = value
    with pytest.raises(SchemaError, match=message):
        load(tmp_path, content)
