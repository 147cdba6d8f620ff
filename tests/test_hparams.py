from balrog_keras.config import Settings
from balrog_keras.hparams import describe_hparams, write_hparams

SPACE = {
    "width": {"choices": [32, 64]},
    "depth": {"low": 1, "high": 3},
    "ema_decay": {"low": 0.9, "high": 0.99, "log": True},
}


def _page(directory):
    """The experiment and its rows, as TensorBoard's page is given them."""
    from tensorboard import context
    from tensorboard.backend.event_processing import data_provider, plugin_event_multiplexer
    from tensorboard.plugins import base_plugin
    from tensorboard.plugins.hparams import (
        api_pb2,
        backend_context,
        get_experiment,
        list_session_groups,
    )

    events = plugin_event_multiplexer.EventMultiplexer()
    events.AddRunsFromDirectory(str(directory)).Reload()
    provider = data_provider.MultiplexerDataProvider(events, str(directory))
    backend = backend_context.Context(base_plugin.TBContext(data_provider=provider))
    requested = api_pb2.ListSessionGroupsRequest(
        slice_size=10, allowed_statuses=api_pb2.Status.values()
    )
    who = (context.RequestContext(), backend, "")
    experiment = get_experiment.Handler(*who, api_pb2.GetExperimentRequest()).run()
    return experiment, list_session_groups.Handler(*who, requested).run().session_groups


def test_every_run_is_a_row_with_its_scores(tmp_path):
    describe_hparams(tmp_path, SPACE, {"energy_score": "energy score"})
    for width, score in ((32, 0.5), (64, 0.25)):
        settings = Settings(width=width, critic_activation="silu", xla=False)
        scores = {"energy_score": score, "bias/meas_mag_r": 0.01}
        write_hparams(tmp_path / f"search/trial-{width}/tensorboard", settings, scores)
    experiment, rows = _page(tmp_path)
    assert {info.name for info in experiment.hparam_infos} == set(SPACE)
    (metric,) = experiment.metric_infos
    assert metric.name.tag == "final/energy_score"
    found = {row.hparams["width"].number_value: row.metric_values[0].value for row in rows}
    assert found == {32: 0.5, 64: 0.25}
    assert {row.name for row in rows} == {"search/trial-32", "search/trial-64"}
    assert rows[0].hparams["critic_activation"].string_value == "silu"
    assert rows[0].hparams["xla"].bool_value is False


def test_single_run_needs_no_description(tmp_path):
    write_hparams(tmp_path / "tensorboard", Settings(), {"energy_score": 0.5})
    experiment, rows = _page(tmp_path)
    assert {info.name for info in experiment.hparam_infos} >= {"width", "critic_learning_rate"}
    assert len(rows) == 1
