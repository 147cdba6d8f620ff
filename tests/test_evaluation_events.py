from types import SimpleNamespace

import numpy as np
import pytest

from balrog_keras import evaluation_events
from balrog_keras.evaluation_events import scalars, write_events
from balrog_keras.named_figure import NamedFigure
from balrog_keras.plots import new_figure

STATISTICS = {
    "bias": {"meas_mag_r": {"value": 0.5, "interval": None, "null": 0.1}},
    "energy_score": {"emulator": {"value": 1.5, "interval": [1, 2], "null": None}},
    "calibration_bins": [{"value": 3}],
}


def test_scalars_are_values_and_nulls_by_path():
    assert dict(scalars(STATISTICS, "evaluation")) == {
        "evaluation/bias/meas_mag_r": 0.5,
        "evaluation/bias/meas_mag_r/null": 0.1,
        "evaluation/energy_score/emulator": 1.5,
    }


def test_events_hold_numbers_and_figures(tmp_path, monkeypatch):
    loader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    named = NamedFigure("Residuals", "what it shows", new_figure(1, 1, "label", "title")[0])
    monkeypatch.setattr(evaluation_events, "evaluation_figures", lambda _: [named])
    bars = [{"name": "c2st_auc", "passed": True}]
    write_events(SimpleNamespace(), {"statistics": STATISTICS, "bars": bars}, tmp_path / "events")
    events = loader.EventAccumulator(str(tmp_path / "events"), {"tensors": 0}).Reload()
    tags = events.Tags()["tensors"]
    assert {"evaluation/bias/meas_mag_r", "bars/c2st_auc", "Residuals/00"} <= set(tags)
    (event,) = events.Tensors("evaluation/energy_score/emulator")
    assert np.frombuffer(event.tensor_proto.tensor_content, np.float32)[0] == 1.5
    summary = events.SummaryMetadata("Residuals/00")
    assert summary.summary_description == "what it shows"
