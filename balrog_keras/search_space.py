"""Which settings a sweep varies and over what; the settings of one of its trials."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, get_type_hints

import yaml

from balrog_keras.config import Settings
from data_prep.errors import BalrogError, did_you_mean

if TYPE_CHECKING:
    import optuna

__all__ = ["DEFAULT_SPACE", "Space", "check_space", "read_space", "suggest", "trial_settings"]

Space = dict[str, dict[str, Any]]

DEFAULT_SPACE: Space = {
    "critic_learning_rate": {"low": 5e-4, "high": 8e-3, "log": True},
    "generator_learning_rate": {"low": 1e-4, "high": 2e-3, "log": True},
    "gradient_penalty_weight": {"low": 1.0, "high": 30.0, "log": True},
    "energy_score_weight": {"low": 0.1, "high": 2.0, "log": True},
    "ema_decay": {"choices": [0.99, 0.995, 0.998, 0.999]},
    "likelihood_weight": {"low": 0.05, "high": 2.0, "log": True},
    "generator_width": {"choices": [32, 64, 128]},
    "width": {"choices": [64, 128, 256]},
    "depth": {"low": 2, "high": 4},
    "batch_size": {"choices": [1024, 2048, 4096]},
    "critic_steps": {"low": 1, "high": 3},
}

_FORMS = (
    "write it as {low: 1.0e-4, high: 1.0e-2, log: true} (log may be left out) "
    "or as {choices: [64, 128]}"
)


def read_space(path: Path, base: Settings) -> Space:
    """Search space from a YAML file of ``setting: {low, high, log}`` or ``{choices}``.

    Parameters
    ----------
    path : path
        The file.
    base : Settings
        Of everything that is not varied.

    Returns
    -------
    dict
        Checked, with numbers of the settings' own types.

    Raises
    ------
    BalrogError
        If the file cannot be read, or a line of it is not as `check_space` wants it.
    """
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise BalrogError(f"search space {path} must be a YAML file: {error}") from None
    if not isinstance(content, dict) or not content:
        raise BalrogError(f"search space {path} must name settings; for each, {_FORMS}")
    return check_space(content, base)


def check_space(space: Space, base: Settings) -> Space:
    """Compare a search space with the settings' names, types and ranges.

    Raises
    ------
    BalrogError
        Naming the setting, what was expected and what was found.
    """
    kinds = get_type_hints(Settings)
    for name in space:
        if name not in kinds:
            raise BalrogError(
                f"search space: no setting {name!r}; known are {sorted(kinds)}"
                f"{did_you_mean(name, kinds)}"
            )
        if name == "seed":
            raise BalrogError(
                "search space: seed cannot be varied, each trial has its own; remove it"
            )
    return {name: _checked(name, how, kinds[name], base) for name, how in space.items()}


def _checked(name: str, how: Any, kind: Any, base: Settings) -> dict[str, Any]:
    keys = set(how) if isinstance(how, dict) else set()
    if keys == {"choices"} and isinstance(how["choices"], list) and how["choices"]:
        values = [_value(name, value, kind, base) for value in how["choices"]]
        return {"choices": values}
    if not {"low", "high"} <= keys <= {"low", "high", "log"}:
        raise BalrogError(f"search space: {name} is {how!r}; {_FORMS}")
    if kind not in (int, float):
        raise BalrogError(f"search space: {name} is no number, found {how!r}; give it choices")
    low, high = (_value(name, how[end], kind, base) for end in ("low", "high"))
    log = how.get("log", False)
    if not isinstance(log, bool):
        raise BalrogError(f"search space: log of {name} must be true or false, found {log!r}")
    if low >= high:
        raise BalrogError(f"search space: {name} needs low below high, found {low} and {high}")
    if log and low <= 0:
        raise BalrogError(f"search space: {name} with log: true needs low above 0, found {low}")
    return {"low": low, "high": high, "log": log}


def _value(name: str, value: Any, kind: Any, base: Settings) -> Any:
    """One value of the setting, as its own type and inside its range."""
    if kind is float and not isinstance(value, bool):
        # YAML 1.1 reads 1e-4, without a point, as text.
        try:
            value = float(value)
        except (TypeError, ValueError):
            value = str(value)
    plain = kind if kind in (int, float, bool) else str
    if type(value) is not plain:
        raise BalrogError(f"search space: {name} takes {plain.__name__} values, found {value!r}")
    try:
        Settings.from_dict({**base.to_dict(), name: value})
    except BalrogError as error:
        raise BalrogError(f"search space: {error}") from None
    return value


def suggest(trial: optuna.Trial, space: Space) -> dict[str, Any]:
    """Let the study choose the values of one trial."""
    chosen: dict[str, Any] = {}
    for name, how in space.items():
        if "choices" in how:
            chosen[name] = trial.suggest_categorical(name, how["choices"])
        elif isinstance(how["low"], int):
            chosen[name] = trial.suggest_int(name, how["low"], how["high"], log=how["log"])
        else:
            chosen[name] = trial.suggest_float(name, how["low"], how["high"], log=how["log"])
    return chosen


def trial_settings(base: Settings, chosen: dict[str, Any], number: int) -> Settings:
    """Settings of one trial.

    Where they are not varied themselves, ``steps`` and ``validation_interval`` follow
    ``critic_steps * batch_size``: every trial visits as many galaxies and is validated as often as
    `base` would be, so that no trial wins by having been trained for longer.

    Parameters
    ----------
    base : Settings
        Of everything that is not varied.
    chosen : dict
        The varied settings.
    number : int
        Of the trial; added to the seed.
    """
    values = {**base.to_dict(), **chosen, "seed": (base.seed + number) % 2**31}
    share = (base.critic_steps * base.batch_size) / (values["critic_steps"] * values["batch_size"])
    for name in ("steps", "validation_interval"):
        if name not in chosen:
            values[name] = max(1, round(getattr(base, name) * share))
    return Settings.from_dict(values)
