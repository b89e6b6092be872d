"""The HTML page: what it says, and that it needs nothing and runs nothing but its own scripts."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from hashlib import sha256
from html.parser import HTMLParser
from importlib import resources
from pathlib import Path

import golden
from gpubox import __version__
from gpubox.page.content import content
from gpubox.page.devices import Device, devices
from gpubox.page.html import html
from gpubox.results.latest import latest_done
from gpubox.results.mtp_pairs import mtp_pairs
from page.pages import a_content, a_page, fleet
from results.records import a_run, a_sample

GOLDEN = Path(__file__).with_name("golden")
VENDORED = {
    "d3.LICENSE": "3e6849627f74ff73c257a3ae1efb574015d94fc1035c05ec3c15805165efcbc4",
    "d3.min.js": "f2094bbf6141b359722c4fe454eb6c4b0f0e42cc10cc7af921fc158fceb86539",
    "plot.LICENSE": "4b295e011e0e046170041b5b46f1349393aeceb95797793a55bd21dbb543363a",
    "plot.umd.min.js": "4358086467740777dd788d6b27a95cebdbaefdd50c730a3060117073bd7134cb",
}


class Elements(HTMLParser):
    """Collects the page's elements, their attributes and what its data script holds."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.data = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.found and self.found[-1] == ("script", {"id": "data", "type": "application/json"}):
            self.data += data


def test_the_page_without_its_style_and_scripts_is_the_golden_file() -> None:
    body = re.sub(r"(<(style|script)>).*?(</\2>)", r"\1\3", a_page(), flags=re.DOTALL)
    for said in ('content="gpubox {}"', "by gpubox {}."):
        body = body.replace(said.format(__version__), said.format("VERSION"))
    golden.compare(GOLDEN, {"page.html": body})


def test_nothing_is_fetched_and_no_name_becomes_an_element() -> None:
    elements = Elements(a_page())
    assert {tag for tag, _ in elements.found} & {"img", "link", "iframe", "object", "base"} == set()
    assert [attrs for _, attrs in elements.found if "src" in attrs or "onclick" in attrs] == []
    targets = {attrs["href"] for tag, attrs in elements.found if tag == "a"}
    assert {target for target in targets if not (target or "").startswith("#")} == set()
    identifiers = [attrs["id"] for _, attrs in elements.found if "id" in attrs]
    assert targets <= {f"#{identifier}" for identifier in identifiers}
    assert len(identifiers) == len(set(identifiers))


def test_the_charts_data_names_every_run_once_and_the_latest_of_each_profile_and_workload() -> None:
    data = json.loads(Elements(a_page()).data)
    assert data["id"] == [f"run-{number:02d}" for number in range(12)]
    assert [data["id"][index] for index in data["latest"]] == [
        "run-02",
        "run-03",
        "run-06",
        "run-07",
        "run-10",
        "run-11",
    ]
    assert data["profiles"] == ["glm", "glm-mtp", '</script><img src="x">&']
    assert data["tg"][0] == [40.008, 39.866, 40.15, 5]
    assert [pair["break_even"] for pair in data["mtp"]] == [0.35024, 0.35024]
    assert {
        column: len(data[column]) for column in ("profile", "workload", "origin", "started", "pp")
    } == dict.fromkeys(("profile", "workload", "origin", "started", "pp"), 12)


def test_only_runs_that_differ_in_drafting_alone_are_judged_on_it() -> None:
    runs, samples = fleet()
    latest = latest_done(runs)
    assert {(a.id, b.id) for a, b, _ in mtp_pairs(latest, samples)} == {("run-02", "run-06"), ("run-03", "run-07")}
    other = [replace(run, model={"path": "/other.gguf"}) if run.profile == "glm" else run for run in latest]
    assert list(mtp_pairs(other, samples)) == []
    bare = [replace(run, profile_document={}) for run in latest]
    assert list(mtp_pairs(bare, samples)) == []


def test_devices_have_their_plan_the_most_memory_and_the_mean_power() -> None:
    run = a_run(host={"planned_mib": {"CUDA0": 100.0, "CUDA_Host": 7.0}})
    readings = [{"index": 0, "memory_mib": 90, "power_w": 200.0}, {"index": 0, "memory_mib": 110, "power_w": 300.0}]
    samples = [a_sample(i, extra={"gpus": [reading]}) for i, reading in enumerate(readings)]
    warm = a_sample(2, kind="warmup", extra={"gpus": [{"index": 0, "memory_mib": 999}]})
    found = [Device("CUDA0", 100.0, 110, 250.0), Device("CUDA_Host", 7.0, None, None)]
    assert devices(run, [*samples, warm]) == found
    assert devices(a_run(), [a_sample(0)]) == []


def test_devices_of_a_profile_that_names_its_gpus_are_those_in_its_order() -> None:
    gpus = [
        {"index": index, "uuid": f"GPU-{index}", "memory_mib": 100.0 * index, "power_w": None} for index in range(4)
    ]
    run = a_run(host={"planned_mib": {"CUDA0": 310.0}}, profile_document={"gpus": ["GPU-3", 1]})
    assert devices(run, [a_sample(0, extra={"gpus": gpus})]) == [
        Device("CUDA0", 310.0, 300.0, None),
        Device("CUDA1", None, 100.0, None),
    ]


def test_without_a_finished_run_the_page_says_so() -> None:
    run = a_run(status="failed")
    text = html(content([run], {run.id: []}, {}, []), written_at="now")
    assert "<p>No run has finished yet.</p>" in text
    assert 'id="mtp"' not in text


def test_without_a_run_the_page_says_how_to_measure_and_carries_no_scripts() -> None:
    text = html(content([], {}, {}, []), written_at="now")
    body = text.partition("<body>")[2].replace(__version__, "VERSION")
    assert body == (
        "\n<header>\n<h1>Benchmark results</h1>\n<p>Written now by gpubox VERSION.</p>\n</header>\n<main>\n"
        "<p>Nothing is measured yet. Measure something, then write this page again:</p>\n<dl>\n"
        "<dt><code>gpubox demo</code></dt><dd>two small profiles, served and measured on this machine</dd>\n"
        "<dt><code>gpubox bench --endpoint http://127.0.0.1:8000</code></dt><dd>a server that runs</dd>\n"
        "<dt><code>gpubox bench PROFILE --host BOX</code></dt><dd>what is deployed on a box</dd>\n"
        "</dl>\n</main>\n</body>\n</html>\n"
    )


def test_a_baseline_stands_under_its_line_with_the_verdict() -> None:
    (group, *_) = [group for group in a_content().groups if group.name == "glm"]
    line, other = group.lines
    assert line.baseline == ("baseline since 2026-03-01 on box1", "400.0 ±0.0", "40.01 ±0.14", "5130 ±0", "-", "5")
    assert line.baseline_run == "run-00"
    assert line.beside == "TG slower by 9.1 % (95 % CI 8.7 to 9.5)"
    assert (other.baseline, group.rows) == ((), 4)
    (drawn,) = a_content().data["baselines"]
    assert drawn == {
        "profile": 0,
        "workload": 0,
        "name": "baseline since 2026-03-01 on box1",
        "words": "TG slower by 9.1 % (95 % CI 8.7 to 9.5)",
        "pp": [400.0, 400.0, 400.0, 5],
        "tg": [40.008, 39.866, 40.15, 5],
    }


def test_the_energy_of_a_token_is_told_in_the_table_and_with_the_run() -> None:
    shown = a_content()
    assert shown.energy == {"glm": [("run-02", "pp2048+tg128", ("500", "12.50", "288"))]}
    assert shown.data["joules"] == {2: "12.50 at 500 W"}


def test_published_values_stand_under_the_measured_ones() -> None:
    (group, *_) = [group for group in a_content().groups if group.name == "glm"]
    assert group.published == ("published: a write-up", "359.5", "34 to 40", "-", "-", "-")
    assert [line.cells[2] for line in group.lines] == ["40.01 ±0.14", "40.01 ±0.14"]


def test_the_vendored_files_are_those_of_their_makers() -> None:
    folder = resources.files("gpubox.page").joinpath("vendor")
    assert {file.name: sha256(file.read_bytes()).hexdigest() for file in folder.iterdir()} == VENDORED


def test_the_page_carries_the_licences_of_what_it_embeds() -> None:
    text = a_page()
    for name in ("d3.LICENSE", "plot.LICENSE"):
        assert resources.files("gpubox.page").joinpath("vendor", name).read_text("utf-8") in text
