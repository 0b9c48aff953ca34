"""The HTML report as text: self-contained, and nothing that a model wrote is markup."""

import base64
import hashlib
import json
import re
from html.parser import HTMLParser

import pytest


@pytest.fixture(scope="module")
def page(published):
    return (published / "report.html").read_text(encoding="utf-8")


class _Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags = []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))


@pytest.fixture(scope="module")
def tags(page):
    parser = _Tags()
    parser.feed(page)
    return parser.tags


def block(page, name):
    start = f'<script type="application/json" id="{name}">'
    return re.search(f"{start}(.*?)</script>", page, re.DOTALL)[1]


def data_of(page):
    return json.loads(block(page, "data"))


def test_what_a_model_or_dataset_wrote_is_no_markup(page, tags):
    # the injection stands in q0's question and in q5's answer; test_browser finds it shown as text
    assert page.count("\\u003cscript\\u003edocument.title") >= 2
    assert "<script>document.title" not in page
    assert [tag for tag, _ in tags].count("script") == 3  # two of data and the page's own
    assert not [
        attributes for tag, attributes in tags if any(name.startswith("on") for name in attributes)
    ]
    assert not [tag for tag, _ in tags if tag == "img"]  # the script sets them, from data: URIs
    pictures = [example["picture"][0] for example in data_of(page)["examples"]]
    assert len(pictures) == 24 and all(uri.startswith("data:image/") for uri in pictures)


def test_only_the_pages_own_script_may_run_and_nothing_may_be_loaded(page, tags):
    policy = next(
        a["content"]
        for t, a in tags
        if t == "meta" and a.get("http-equiv") == "Content-Security-Policy"
    )
    script = re.search(r"<script>(.*?)</script>", page, re.DOTALL)[1]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy and "default-src 'none'" in policy
    for tag, attributes in tags:
        for name in ("src", "href", "action", "srcset"):
            assert not re.match(r"(https?:)?//", attributes.get(name, "")), (tag, name)
    assert not re.search(r"@import|url\(", page)


def test_the_numbers_of_the_script_are_strict_json_without_markup(page):
    for name in ("data", "texts"):
        assert "<" not in block(page, name) and "NaN" not in block(page, name)
    data = data_of(page)
    cell = data["reliability"]["cells"]["rl"]["verbal"]["all"]
    assert (
        cell["n"] == 60
        and cell["parse_failures"] == 1
        and sum(bin_[1] for bin_ in cell["bins"]) == 59
    )
    titles = {entry["id"]: entry["title"] for entry in data["reliability"]["slices"]}
    assert (
        titles["all"] == "all questions"
        and titles["dataset_subset:TextVQA/neutral"] == "TextVQA/neutral"
    )
    assert [chart["title"] for chart in data["charts"]][:1] == ["ECE"]


def test_headings_are_nested_and_the_table_without_a_script_has_a_caption(tags):
    levels = [int(tag[1]) for tag, _ in tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(later <= earlier + 1 for earlier, later in zip(levels, levels[1:], strict=False))
    names = [tag for tag, _ in tags]
    assert names.count("table") == names.count("caption") == 1
    assert next(attributes["lang"] for tag, attributes in tags if tag == "html") == "en"


def test_without_a_script_the_page_has_verdict_and_table(page, published):
    html = page[: page.index('<script type="application/json"')]
    cell = json.loads((published / "report.json").read_text())["models"]["rl"]["verbal"]["pooled"]
    assert "By Verbal, " in html and f'<td class="figure">{cell["brier"]:.3f} [' in html


def test_the_buttons_copy_the_files_of_the_tables(page, published):
    texts = json.loads(block(page, "texts"))
    for path in (published / "tables").glob("*.csv"):
        for form, suffix in (("CSV", ".csv"), ("LaTeX", ".tex"), ("Markdown", ".md")):
            file = path.with_suffix(suffix)
            assert texts[path.stem][form] == file.read_text(encoding="utf-8")


def test_provenance_has_hash_seed_command_and_versions(page):
    provenance = page[page.index('id="provenance"') :]
    assert (
        "0123456789ab" in provenance
        and "python -m eval" in provenance
        and "scikit-learn" in provenance
    )
    assert (
        re.search(r"<dt>seed</dt><dd>3</dd>", provenance) and "10 bins of equal width" in provenance
    )


def test_verdicts_are_computed_from_the_records(page):
    groups = data_of(page)["verdicts"][0]["groups"]
    phrases = [row["phrase"] for group in groups for row in group["rows"]]
    assert "RL (Algorithm 1) is better calibrated than base" in phrases
    assert any("RL (Algorithm 1) and SFT cannot be told apart" in phrase for phrase in phrases)


def test_the_papers_tables_are_those_with_its_values(page):
    parts = data_of(page)["parts"]
    assert parts["paper"] == ["calibration_TextVQA", "paper_accuracy"]
    assert "calibration_pocket-scene" in parts["slices"]


def test_the_page_stays_small(page):
    assert len(page) < 1_000_000


def test_the_hallucination_command_s_tables_and_curves_are_a_part(page):
    data = data_of(page)
    # the report has a table of the name "claims" too
    assert data["parts"]["hallucination"] == ["hallucination_claims"]
    assert "claims" in data["parts"]["numbers"]
    rows = data["tables"]["hallucination_claims"]["rows"]
    assert rows[0] == ["base", ["42.5 % [38.2 %, 46.4 %]", 0.425], "–"]
    (chart,) = data["hallucination"]
    (line,) = chart["lines"]  # rl states no confidence
    assert line["values"][19] is None and line["values"][61] is None
    # between (0.2, 0.2) and (0.6, 0.4) the rate is interpolated
    assert [line["values"][recall] for recall in (20, 40, 60)] == [0.2, 0.3, 0.4]


def test_a_run_without_hallucination_has_no_such_part(records_directory, tmp_path):
    from eval.__main__ import main

    missing = tmp_path / "none"
    arguments = [f"--records={records_directory}", f"--out={tmp_path / 'out'}"]
    assert main(["report", *arguments, f"--hallucination={missing}"]) == 1
    assert main(["report", *arguments]) == 0
    assert 'id="hallucination"' not in (tmp_path / "out" / "report.html").read_text()
