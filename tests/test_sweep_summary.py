import pytest

optuna = pytest.importorskip("optuna")

from balrog_keras.sweep_summary import summary  # noqa: E402


def _study(trials):
    """Scores that depend on the learning rate alone."""
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    study.set_user_attr("space", {"rate": {}, "width": {}})

    def score(trial):
        trial.set_user_attr("seconds", 90.0)
        trial.suggest_categorical("width", [32, 64])
        return abs(trial.suggest_float("rate", 0.0, 1.0) - 0.3)

    study.optimize(score, n_trials=trials)
    return study


def test_table_has_the_best_trials_first(tmp_path):
    study = _study(20)
    lines = {line.split()[0]: line.split()[1:] for line in summary(study, tmp_path).splitlines()}
    order = sorted(study.trials, key=lambda trial: trial.value)[:6]
    assert lines["trial"] == [str(trial.number) for trial in order]
    assert lines["minutes"] == 6 * ["1.5"]
    assert lines["width"] == [str(trial.params["width"]) for trial in order]
    assert lines["importance"][0] == "rate"


def test_few_trials_have_no_importance(tmp_path):
    assert "importance" not in summary(_study(2), tmp_path)
    assert "no trial has completed yet" in summary(_study(0), tmp_path)
