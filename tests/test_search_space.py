import pytest

from balrog_keras.config import Settings
from balrog_keras.search_space import DEFAULT_SPACE, check_space, read_space, trial_settings
from data_prep.errors import BalrogError

BASE = Settings()


def test_default_space_is_in_range():
    assert check_space(DEFAULT_SPACE, BASE) == {
        name: {"log": False, **how} if "low" in how else how for name, how in DEFAULT_SPACE.items()
    }


def test_file_gives_the_settings_own_types(tmp_path):
    path = tmp_path / "space.yaml"
    path.write_text(
        "critic_learning_rate: {low: 1e-4, high: 1e-2, log: true}\n"
        "gradient_penalty_weight: {low: 1, high: 10}\n"
        "depth: {low: 1, high: 3}\n"
        "xla: {choices: [true, false]}\n"
        "gradient_penalty_side: {choices: [one, two]}\n"
    )
    space = read_space(path, BASE)
    assert space["critic_learning_rate"] == {"low": 1e-4, "high": 1e-2, "log": True}
    assert repr(space["gradient_penalty_weight"]["low"]) == "1.0"
    assert space["depth"] == {"low": 1, "high": 3, "log": False}
    assert space["xla"] == {"choices": [True, False]}
    assert space["gradient_penalty_side"] == {"choices": ["one", "two"]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("widht: {choices: [1]}", "no setting 'widht'; known are"),
        ("seed: {low: 0, high: 9}", "each trial has its own"),
        ("width: 64", "width is 64; write it as"),
        ("width: {low: 64}", "write it as"),
        ("width: {choices: []}", "write it as"),
        ("width: {low: 64, high: 128, steps: 2}", "write it as"),
        ("width: {low: 64.5, high: 128}", "width takes int values, found 64.5"),
        ("width: {choices: [true]}", "width takes int values, found True"),
        ("width: {low: 128, high: 64}", "low below high"),
        ("width: {low: 0, high: 64}", "width must be a whole number of at least 1"),
        ("energy_score_weight: {low: 0, high: 1, log: true}", "low above 0"),
        ("energy_score_weight: {low: 0, high: 1, log: 3}", "true or false"),
        ("energy_score_weight: {low: small, high: 1}", "takes float values, found 'small'"),
        ("gradient_penalty_side: {low: 1, high: 2}", "is no number"),
        ("gradient_penalty_side: {choices: [both]}", "must be 'one' or 'two'"),
        ("[width]", "must name settings"),
        ("width: {", "must be a YAML file"),
    ],
)
def test_bad_line_is_named(tmp_path, text, message):
    path = tmp_path / "space.yaml"
    path.write_text(text)
    with pytest.raises(BalrogError, match="search space") as caught:
        read_space(path, BASE)
    assert message in str(caught.value)


def test_missing_file_is_named(tmp_path):
    with pytest.raises(BalrogError, match=r"nowhere\.yaml"):
        read_space(tmp_path / "nowhere.yaml", BASE)


def test_every_trial_visits_as_many_galaxies():
    base = Settings(steps=6000, validation_interval=300, batch_size=1024, critic_steps=2, seed=7)
    chosen = {"batch_size": 512, "critic_steps": 3}
    settings = trial_settings(base, chosen, 5)
    assert settings.steps * 512 * 3 == base.steps * 1024 * 2
    assert settings.steps / settings.validation_interval == base.steps / base.validation_interval
    assert settings.seed == 12
    assert trial_settings(base, {**chosen, "steps": 10}, 5).steps == 10
