import numpy as np
from evaluation_world import SCHEMA, conditions, location_scale, measure

from balrog_keras.classifier_features import feature_names, features


def test_features_hold_what_their_names_say():
    condition = conditions(4, 0)
    measured = measure(condition, [1])
    location, scale = location_scale(condition)
    found = features(SCHEMA, condition, measured, location, scale)
    names = feature_names(SCHEMA)
    assert found.shape == (4, 6 + 3 + 3 + 3 + 2) == (4, len(names))
    assert found.dtype == np.float32
    columns = dict(zip(names, found.T, strict=True))
    np.testing.assert_array_equal(found[:, :6], condition)
    np.testing.assert_allclose(found[:, 12:15], (measured - location) / scale, rtol=1e-4)
    first, second = SCHEMA.measured[:2]
    np.testing.assert_allclose(
        columns[f"{first.name} - {first.reference}"],
        columns[first.name] - columns[first.reference],
        atol=1e-5,
    )
    np.testing.assert_allclose(
        columns[f"{first.name} - {second.name}"],
        columns[first.name] - columns[second.name],
        atol=1e-5,
    )
