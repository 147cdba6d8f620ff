import json
import shutil

from toy import toy_schema

from balrog_keras.bundle import FORMAT_VERSION
from balrog_keras.emulator import Emulator
from balrog_keras.info import describe
from balrog_keras.model_card import model_card, record_evaluation

LIMITS = {"min": 17.25, "max": 25.5, "quantiles": {"0.01": 18.0, "0.5": 23.125, "0.99": 25.0}}
DRAWING = {"inputs": {"draw": {"dtype": "int64", "shape": []}}, "outputs": {}}
DESCRIPTION = {
    "format_version": FORMAT_VERSION,
    "name": "first",
    "label": "what it was trained on",
    "created": "2026-01-01T00:00:00+00:00",
    "schema": toy_schema().to_dict(),
    "domain": dict.fromkeys(toy_schema().condition_names, LIMITS),
    "training_data": {
        "rows": {"train": 1234},
        "provenance": {
            "command": "prepare it",
            "sources": [{"name": "a.fits", "bytes": 5, "sha256": "ab" * 32}],
        },
    },
    "versions": {"tensorflow": "2.x"},
    "command": "train.py --data shards --name first",
    "members": 1,
    "detection": False,
    "in_domain": {"components": 16, "flagged_fraction": 0.01, "log_density_threshold": -12.5},
    "endpoints": {"serving_default": DRAWING},
}


def test_card_has_columns_sources_and_scores():
    card = model_card(DESCRIPTION, {"validation": {"energy_score": 1.25}})
    assert "what it was trained on" in card
    assert "prepare it\ntrain.py --data shards --name first\n" in card
    assert "| `fwhm_r` | survey | arcsec | 17.250, 23.125, 25.500 |" in card
    assert "train 1,234 rows" in card
    assert "`a.fits`, 5 bytes" in card
    assert "| validation: energy_score | 1.25 |" in card
    assert '"true_mag_r": tf.constant([23.125, 23.125]),' in card


def test_card_tells_of_realizations_and_domain_where_the_format_has_them():
    card = model_card(DESCRIPTION, {})
    assert "draw=tf.constant(0, tf.int64)" in card
    assert "for 1% of held-out rows" in card
    first = {k: v for k, v in DESCRIPTION.items() if k != "in_domain"} | {"endpoints": {}}
    assert not [word for word in ("draw=", "`in_domain`") if word in model_card(first, {})]


def test_description_for_the_terminal():
    text = describe(DESCRIPTION, {})
    assert text.startswith("first: what it was trained on")
    assert "true_mag_r        truth     mag       17.250 to 25.500 (18.000 - 25.000)" in text


def test_card_and_description_tell_of_members_detection_and_origin():
    origin = {"name": "old", "created": "2025", "emulator_json_sha256": "cd" * 32}
    more = {"members": 3, "seeds": [1, 2, 3], "detection": True, "fine_tuned_from": origin}
    card = model_card(DESCRIPTION | more, {})
    assert "ensemble of 3 members" in card
    assert "member=tf.constant(0, tf.int64)" in card
    assert "`detection_probability`" in card
    assert "Fine-tuned from `old` (created 2025" in card
    text = describe(DESCRIPTION | more, {})
    assert "P(detected | truth, survey properties)" in text
    assert "3 members, seeds [1, 2, 3]" in text
    assert "fine-tuned from old of 2025" in text
    plain = model_card(DESCRIPTION, {}) + describe(DESCRIPTION, {})
    assert "says nothing on whether an object is detected" in plain
    assert not [word for word in ("ensemble", "Fine-tuned", "fine-tuned", "seeds") if word in plain]


def test_evaluation_is_recorded_and_the_bundle_still_loads(toy_bundle, tmp_path):
    copy = shutil.copytree(toy_bundle, tmp_path / "copy")
    bars = [
        {"name": "c2st_auc", "value": 0.515, "null": 0.5},
        {"name": "undefined", "value": None, "null": None},
    ]
    record_evaluation(copy, {"rows": {"test": 9_000}, "bars": bars})
    metrics = json.loads((copy / "metrics.json").read_text())
    assert metrics["test"] == {"rows": 9_000, "c2st_auc": 0.515, "c2st_auc, null": 0.5}
    assert metrics["validation"]
    assert "| test: c2st_auc | 0.515 |" in (copy / "README.md").read_text()
    Emulator.load(copy)
