"""Settings: profiles, overrides, and every refusal with its message."""

import pytest

from swatchbook.pipeline import ConfigError
from swatchbook.pipeline.settings import flat
from swatchbook.studies import PROFILES, spec_of
from swatchbook.studies.attributes.settings import Config
from swatchbook.studies.study import Study
from tests.conftest import configure


def test_every_profile_belongs_to_the_study_that_is_named_for_it():
    for name, study in PROFILES.items():
        assert spec_of(name).name == study and name in spec_of(name).profiles
    assert {p for name in PROFILES for p in spec_of(name).profiles} == set(PROFILES)


def test_a_profile_is_the_full_config_plus_overrides():
    for name in PROFILES:
        profile, config = spec_of(name).profiles[name], configure(name)
        assert config.profile == name
        for key, value in profile.overrides.items():
            assert flat(config)[key] == value


def test_a_run_folder_that_is_not_there_is_named_with_what_computing_takes(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Study.open("demo", "runs/mine")
    assert capsys.readouterr().err == (
        f"{tmp_path}/runs/mine: no run is there yet; what is asked for is computed into it, which takes about "
        "four minutes on two cores in all\n"
    )
    (tmp_path / "runs" / "mine").mkdir(parents=True)
    Study.open("demo", "runs/mine")
    Study.open("demo")
    assert capsys.readouterr().err == ""


def test_overrides_come_last_and_read_command_line_strings():
    config = configure(
        "published", {"bootstrap": "500", "evaluation.margin": "0.05", "power_sizes": "50,100"}
    )
    assert config.evaluation.bootstrap == 500
    assert config.evaluation.margin == 0.05
    assert config.evaluation.power_sizes == (50, 100)
    assert configure("published", {"source": "here"}).source == "here"
    assert configure("published", {"source": "none"}).source is None


def test_a_config_cannot_be_changed_in_place():
    with pytest.raises((AttributeError, TypeError)):
        Config().seed = 1


@pytest.mark.parametrize(
    ("profile", "overrides", "message"),
    [
        ("publishd", {}, "profile 'publishd' is unknown; did you mean published? allowed: demo, published"),
        (
            "published",
            {"bootstap": 5},
            "setting 'bootstap' is unknown; did you mean evaluation.bootstrap? allowed: data, schema",
        ),
        (
            "published",
            {"bootstrap": "many"},
            "setting evaluation.bootstrap = 'many'; must be a valid integer",
        ),
        (
            "published",
            {"bootstrap": "12.5"},
            "setting evaluation.bootstrap = '12.5'; must be a valid integer",
        ),
        ("published", {"bootstrap": True}, "setting evaluation.bootstrap = True; must be a valid integer"),
        (
            "published",
            {"bootstrap": 3},
            "setting evaluation.bootstrap = 3; must be greater than or equal to 20",
        ),
        ("published", {"level": 95}, "setting evaluation.level = 95; must be less than 1"),
        ("published", {"margin": "nan"}, "setting evaluation.margin = 'nan'; must be"),
        ("published", {"seed": -1}, "setting seed = -1; must be greater than or equal to 0"),
        ("published", {"power_sizes": 100}, "setting evaluation.power_sizes = 100; must be a valid tuple"),
        ("published", {"power_sizes": "5"}, "must be greater than or equal to 20"),
        ("demo", {"warmup_epochs": 30}, "setting training.warmup_epochs = 30.0; must be below the epochs"),
        (
            "demo",
            {"training.epochs": "2", "warmup_epochs": "2"},
            "setting training.warmup_epochs = 2.0; must be",
        ),
        ("demo", {"image_size": 10**9}, "setting training.image_size = 1000000000; must be from 1 to 4,096"),
        ("demo", {"hidden": str(10**12)}, "setting training.hidden = (1000000000000,); must be widths of"),
        ("demo", {"model": "../../evil"}, "setting model: name '../../evil'; allowed: up to 64 letters"),
        ("demo", {"baseline": "a/b"}, "setting baseline: name 'a/b'; allowed: "),
        ("demo", {"model": ""}, "setting model: name ''; allowed: "),
        (
            "demo",
            {"duplicates": "perhaps"},
            "setting duplicates = 'perhaps'; must be 'refuse', 'drop' or 'keep'",
        ),
        ("demo", {"seed": "1_000"}, "setting seed = '1_000'; must be written in the digits 0 to 9"),
        (
            "demo",
            {"bootstrap": "１００"},
            "setting evaluation.bootstrap = '１００'; must be written in the digits",
        ),
        ("demo", {"level": "٠.٥"}, "setting evaluation.level = '٠.٥'; must be written in the digits 0 to 9"),
        ("demo", {"power_sizes": "20,4_0"}, "setting evaluation.power_sizes = '20,4_0'; must be written in"),
        ("demo", {"seed": "12345678901234567890123"}, "must be less than 4294967296"),
        ("published", {"profile": "x"}, "setting 'profile' is unknown"),
    ],
)
def test_a_wrong_setting_is_refused_naming_what_is_allowed(profile, overrides, message):
    with pytest.raises(ConfigError) as refusal:
        configure(profile, overrides)
    assert message in str(refusal.value)


def test_settings_that_bound_each_other_change_together():
    config = configure("demo", {"warmup_epochs": "1", "training.epochs": "2"})
    assert (config.training.warmup_epochs, config.training.epochs) == (1, 2)


def test_fewer_epochs_bring_down_a_warm_up_that_nobody_asked_for_and_say_so(capsys):
    training = configure("paper", {"training.epochs": "2"}).training
    assert (training.epochs, training.warmup_epochs) == (2, 1)
    line = "training.epochs = 2, so training.warmup_epochs is brought down from 2 to 1\n"
    assert capsys.readouterr().err == line
    assert configure("paper", {"training.epochs": 1}).training.warmup_epochs == 0
    capsys.readouterr()
    assert configure("paper", {"training.epochs": 3}).training.warmup_epochs == 2
    assert capsys.readouterr().err == ""


def test_one_seed_moves_the_training_too_unless_it_has_its_own():
    assert configure("demo", {"seed": 7}).training.seed == 7
    assert configure("demo", {"seed": 7, "training.seed": 3}).training.seed == 3
