import pytest

from balrog_keras.config import Settings
from data_prep.errors import BalrogError


def test_round_trip_keeps_every_value():
    settings = Settings(width=7, gradient_penalty_side="two", xla=False)
    assert Settings.from_dict(settings.to_dict()) == settings


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("width", 0),
        ("steps", -1),
        ("critic_learning_rate", 0.0),
        ("generator_learning_rate", 1.5),
        ("gradient_penalty_weight", -1.0),
        ("ema_decay", 1.0),
        ("validation_draws", 1),
        ("seed", -1),
        ("gradient_penalty_side", "both"),
    ],
)
def test_value_out_of_range_is_named(name, value):
    with pytest.raises(BalrogError, match=name):
        Settings(**{name: value})


def test_unknown_setting_is_named():
    with pytest.raises(BalrogError, match="widht"):
        Settings.from_dict({"widht": 3})


def test_differences_lists_only_what_differs():
    assert Settings(width=8).differences(Settings(width=9)) == {"width": (8, 9)}
