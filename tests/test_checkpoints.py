import numpy as np
import pytest
from toy import toy_schema

from balrog_keras.building import build_gan
from balrog_keras.checkpoints import Checkpoints
from balrog_keras.config import Settings
from balrog_keras.standardizer import Standardizer
from data_prep.errors import BalrogError


def _parts(place, seed=0, width=8):
    settings = Settings(
        width=width, depth=1, generator_width=8, generator_depth=1, xla=False, seed=seed
    )
    gan = build_gan(settings, 9, 3)
    standardizer = Standardizer.for_schema(toy_schema(), width, 1, seed)
    return gan, standardizer, Checkpoints(place, gan, standardizer)


def test_kept_is_the_latest_that_is_not_clearly_worse(tmp_path):
    gan, _, checkpoints = _parts(tmp_path)
    assert checkpoints.offer(2.0, gan)
    kept = checkpoints.best_generator.get_weights()
    gan.ema_generator.set_weights([weight + 1 for weight in kept])
    assert not checkpoints.offer(2.02, gan)
    assert not checkpoints.offer(float("nan"), gan)
    np.testing.assert_array_equal(checkpoints.best_generator.get_weights()[0], kept[0])
    assert checkpoints.offer(1.5, gan)
    np.testing.assert_array_equal(checkpoints.best_generator.get_weights()[0], kept[0] + 1)
    assert float(checkpoints.best_score) == 1.5
    checkpoints.gan.optimizer.iterations.assign(5)
    assert checkpoints.offer(1.505, gan)
    assert int(checkpoints.best_step) == 5
    # Compared with the lowest, not with the last kept: small steps up do not add up.
    assert float(checkpoints.best_score) == 1.5
    assert not checkpoints.offer(1.509, gan)


def test_everything_comes_back(tmp_path):
    gan, standardizer, checkpoints = _parts(tmp_path, seed=1)
    standardizer.condition_mean.assign(np.arange(9.0))
    gan.optimizer.iterations.assign(17)
    checkpoints.offer(3.0, gan)
    assert checkpoints.save().endswith("ckpt-17")
    other, fresh, restored = _parts(tmp_path, seed=2)
    assert restored.restore()
    assert restored.step == 17
    assert float(restored.best_score) == 3.0
    for mine, theirs in ((gan, other), (standardizer, fresh)):
        for a, b in zip(mine.get_weights(), theirs.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)


def test_nothing_to_restore(tmp_path):
    assert not _parts(tmp_path)[2].restore()


def test_another_models_checkpoint_is_refused(tmp_path):
    _parts(tmp_path)[2].save()
    with pytest.raises(BalrogError, match="cannot be restored"):
        _parts(tmp_path, width=9)[2].restore()


def test_last_three_are_kept(tmp_path):
    gan, _, checkpoints = _parts(tmp_path)
    for step in range(5):
        gan.optimizer.iterations.assign(step)
        checkpoints.save()
    assert sorted(path.name for path in tmp_path.glob("*.index")) == [
        f"ckpt-{step}.index" for step in (2, 3, 4)
    ]
