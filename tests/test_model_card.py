from toy import toy_schema

from balrog_keras.info import describe
from balrog_keras.model_card import model_card

LIMITS = {"min": 17.25, "max": 25.5, "quantiles": {"0.5": 23.125}}
DESCRIPTION = {
    "name": "first",
    "label": "what it was trained on",
    "created": "2026-01-01T00:00:00+00:00",
    "schema": toy_schema().to_dict(),
    "domain": dict.fromkeys(toy_schema().condition_names, LIMITS),
    "training_data": {
        "rows": {"train": 1234},
        "provenance": {"sources": [{"name": "a.fits", "bytes": 5, "sha256": "ab" * 32}]},
    },
    "versions": {"tensorflow": "2.x"},
}


def test_card_has_columns_sources_and_scores():
    card = model_card(DESCRIPTION, {"validation": {"energy_score": 1.25}})
    assert "what it was trained on" in card
    assert "| `fwhm_r` | survey | arcsec | 17.250, 23.125, 25.500 |" in card
    assert "train 1,234 rows" in card
    assert "`a.fits`, 5 bytes" in card
    assert "| validation: energy_score | 1.25 |" in card
    assert '"true_mag_r": tf.constant([23.125, 23.125]),' in card


def test_description_for_the_terminal():
    text = describe(DESCRIPTION)
    assert text.startswith("first: what it was trained on")
    assert "true_mag_r        truth     mag       17.250 to 25.500" in text
