import json
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from browser import BROWSER, probe
from evaluation_world import LABEL, SCHEMA, KnownEmulator, held_out, location_scale
from toy import toy_schema
from toy_detection import toy_injections, toy_probability

from balrog_keras.count_statistics import default_selections
from balrog_keras.detection_evaluation import DetectionRows, evaluate_detection
from balrog_keras.evaluation import evaluate
from balrog_keras.metrics_schema import check_metrics
from balrog_keras.report import write_report
from balrog_keras.science_statistics import evaluate_science

PROVENANCE = {"created": "2026-01-01", "emulator": {"name": "a <b> & c"}, "settings": {"seed": 0}}


@pytest.fixture(scope="module")
def written(tmp_path_factory, quick_classifiers):
    evaluation = evaluate(
        KnownEmulator(stretch=2.0), held_out(1500), draws=30, replicates=20, least_draws=1
    )
    rows = evaluation.held_out
    selections = default_selections(SCHEMA, rows.measured)
    scales = location_scale(rows.condition)
    science = evaluate_science(evaluation, scales, selections, simulations=20, replicates=20)
    evaluation = replace(evaluation, science=science)
    directory = tmp_path_factory.mktemp("report") / "new"
    page = write_report(evaluation, PROVENANCE, directory)
    assert page == directory / "report.html"
    return evaluation, page.read_text("utf-8"), (directory / "metrics.json").read_text("utf-8")


class Tags(HTMLParser):
    """All tags with their attributes, and those left open."""

    def __init__(self) -> None:
        super().__init__()
        self.tags, self.open = [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def tags(written):
    parser = Tags()
    parser.feed(written[1])
    assert parser.open == []
    return parser.tags


def test_page_needs_nothing_else(written, tags):
    assert "http://" not in written[1]
    assert "https://" not in written[1]
    assert not {"script", "link", "iframe"} & {tag for tag, _ in tags}
    sources = [attributes["src"] for tag, attributes in tags if tag == "img"]
    assert len(sources) == 20
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    assert "url(" not in written[1]


def test_every_image_says_what_it_shows(tags):
    texts = [attributes["alt"] for tag, attributes in tags if tag == "img"]
    assert all(len(text) > 40 for text in texts)
    assert len(set(texts)) == len(texts)


def test_verdict_and_label_are_on_top(written):
    evaluation, page, _ = written
    assert not evaluation.passed
    start = page[page.index("<h1>") : page.index("<figure>")]
    assert LABEL in start
    failed = {bar["name"] for bar in evaluation.all_bars if not bar["passed"]}
    assert failed >= {"c2st_auc", "worst_pit_ks", "quartile_spread"}
    assert f"{len(failed)} of 6 bars not met" in start
    for bar in evaluation.all_bars:
        assert bar["title"] in start
    assert "oracle" in start


def test_light_dark_and_narrow(written):
    assert "prefers-color-scheme: dark" in written[1]
    assert 'name="viewport"' in written[1]


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="Chromium is not installed")
@pytest.mark.parametrize("dark", [False, True])
def test_page_in_a_browser(written, tmp_path, dark):
    seen, console = probe(written[1], tmp_path, dark)
    assert console == []
    assert seen["images"] == 20
    assert (seen["broken"], seen["dead"], seen["requests"]) == (0, 0, [])
    assert seen["overflow"] <= 0
    assert seen["narrow"] <= 0
    assert seen["keyboard"]
    assert seen["paper"] == ("rgb(20, 23, 26)" if dark else "rgb(255, 255, 255)")


def test_names_are_escaped(written):
    assert "a &lt;b&gt; &amp; c" in written[1]
    assert "a <b>" not in written[1]


def test_metrics_are_strict_json(written):
    evaluation, _, text = written

    def refuse(constant):
        raise AssertionError(constant)

    metrics = json.loads(text, parse_constant=refuse)
    check_metrics(metrics)
    assert metrics["format_version"] == 1
    assert metrics["label"] == LABEL
    assert metrics["passed"] is False
    assert metrics["null"] == "oracle"
    assert metrics["provenance"] == PROVENANCE
    assert metrics["rows"]["paired_with_oracle"] == 1350
    values = [bar["value"] for bar in evaluation.all_bars]
    assert [bar["value"] for bar in metrics["bars"]] == values
    worst = metrics["statistics"]["pit"]["worst_bin"]
    assert {"value", "interval", "null", "p_value", "where"} <= set(worst)


def test_tables_name_every_statistic(written):
    page = written[1]
    for text in ("Wasserstein", "KS distance of colours", "Tail quantiles", "Energy score", "AUC"):
        assert text in page[page.index('<h2 id="tables">') :]


def test_few_regions_without_oracle_are_said(tmp_path, quick_classifiers, unrendered_figures):
    rows = held_out(600, with_oracle=False)
    rows.region[:] = 1
    evaluation = evaluate(KnownEmulator(), rows, draws=20, replicates=10, least_draws=1)
    page = write_report(evaluation, PROVENANCE, tmp_path).read_text("utf-8")
    assert "Only 1 regions" in page
    assert "second realization" in page
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["statistics"]["wasserstein"]["meas_mag_r"]["interval"] in (None, [None, None])


def test_detection_and_members_have_their_part_of_the_page(written, tmp_path, unrendered_figures):
    rows = DetectionRows.of(toy_injections(4_000, 1))
    probability = toy_probability(rows.condition, shift=0.3)
    detection = evaluate_detection(toy_schema(), rows, probability, simulations=20, replicates=5)
    members = [{"C2ST AUC": 0.51}, {"C2ST AUC": 0.53}]
    evaluation = replace(written[0], detection=detection, members=members)
    page = write_report(evaluation, PROVENANCE, tmp_path).read_text("utf-8")
    parser = Tags()
    parser.feed(page)
    assert parser.open == []
    assert len([tag for tag, _ in parser.tags if tag == "img"]) == 23
    top = page[page.index("<h1>") : page.index("<figure>")]
    failed = [bar["name"] for bar in evaluation.all_bars if not bar["passed"]]
    assert set(failed) >= {"detection_ece", "detection_completeness", "detection_counts"}
    assert f"{len(failed)} of 9 bars not met" in top
    assert "4,000 held-out injections" in top
    for text in ('<h2 id="detection">', "Brier score", "Completeness in bins", "spread (sd)"):
        assert text in page
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["detection"]["rows"]["test"] == 4_000
    ece = metrics["detection"]["statistics"]["ece"]
    assert ece["value"] > ece["null"]
    assert metrics["members"] == members
    check_metrics(metrics)
    assert metrics["bars"][3]["name"] == "detection_ece"
