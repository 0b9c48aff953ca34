"""The page of a report of real size in a real browser: what its first screen holds,
and how little stands below it.
"""

import csv
import io
import json
import re

import pytest
from selenium.webdriver.support.ui import Select, WebDriverWait

DESKTOP, PHONE = (1280, 800), (390, 844)


@pytest.fixture
def screen(browser, large_report):
    browser.open(large_report / "report.html", *DESKTOP)
    return browser


@pytest.fixture
def phone(browser, large_report):
    browser.open(large_report / "report.html", *PHONE)
    return browser


def main_rows(browser):
    rows = browser.find("[data-main-table] tbody tr")
    return [[cell.text for cell in row.find_elements("css selector", "td")] for row in rows]


def elements(browser):
    return browser.js("return document.querySelectorAll('*').length")


def open_all(browser):
    browser.js("parts.forEach((part) => { build(part); part.open = true; })")


def test_the_first_screen_of_a_desktop_holds_verdict_table_and_two_diagrams(screen):
    for selector in (".verdict", "[data-main-table] tbody tr:last-child"):
        box = screen.js(
            "return document.querySelector(arguments[0]).getBoundingClientRect()", selector
        )
        assert box["bottom"] <= DESKTOP[1], selector
    panels = screen.find("[data-main-panels] .panel svg")
    assert len(panels) == 2
    for panel in panels:
        assert panel.rect["y"] + panel.rect["height"] <= DESKTOP[1]
    assert not [part for part in screen.find("details.part") if part.get_attribute("open")]


def test_the_verdict_is_one_sentence_of_normal_size_with_its_numbers(screen):
    (verdict,) = screen.find(".verdict")
    assert re.fullmatch(
        r"By Verbal, .*has a Brier score of 0\.\d{3}.* \(RL \(\w+\) against base: debiased ECE "
        r"−0\.\d{3} \[−0\.\d{3}, −0\.\d{3}\], \d+ paired answers\)\.",
        verdict.text,
    )
    size = "return parseFloat(getComputedStyle(arguments[0]).fontSize)"
    assert 14 <= screen.js(size, verdict) <= 18
    assert all(screen.js(size, heading) <= 28 for heading in screen.find("h1, h2, h3"))


def test_the_table_has_a_row_a_model_with_the_reports_numbers(screen, large_report):
    report = json.loads((large_report / "report.json").read_text())
    heads = [head.text.rstrip(" ↓↑↕▲▼") for head in screen.find("[data-main-table] thead th")]
    assert heads[0] == "model" and heads[1].startswith("ECE")
    assert heads[2:] == ["AUROC", "Brier", "accuracy", "readable", "n"]
    rows = main_rows(screen)
    assert [row[0] for row in rows[:2]] == ["base", "SFT"] and len(rows) == 6
    cell = report["models"]["base"]["verbal"]["pooled"]
    low, high = cell["brier_interval"]
    assert rows[0][3] == f"{cell['brier']:.3f} [{low:.3f}, {high:.3f}]"
    assert rows[0][5] == f"{100 * (1 - cell['parse_failures'] / cell['n']):.1f} %"
    assert rows[0][6] == "300"


def test_the_table_is_sorted_and_shows_other_protocols(screen):
    screen.find("[data-main-table] thead th button")[3].click()
    brier = [float(row[3].split(" ")[0]) for row in main_rows(screen)]
    assert brier == sorted(brier) and len(set(brier)) > 3
    select = Select(screen.find("[data-main-choice] select")[0])
    assert [option.text for option in select.options] == [
        *("Verbal", "DP", "SC", "PC-R", "Verbal (asked)", "VCAP", "Tags", "All protocols")
    ]
    select.select_by_visible_text("DP")
    assert [float(row[3].split(" ")[0]) for row in main_rows(screen)] != brier
    select.select_by_visible_text("All protocols")
    assert len(main_rows(screen)) == 42 and main_rows(screen)[0][:2] == ["Verbal", "base"]


def test_the_diagrams_are_of_the_base_and_the_model_of_the_lowest_brier_score(screen, large_report):
    models = json.loads((large_report / "report.json").read_text())["models"]
    brier = {name: cells["verbal"]["pooled"]["brier"] for name, cells in models.items()}
    assert min(brier, key=brier.get) == "rl_segments"
    titles = [title.text for title in screen.find("[data-main-panels] .panel h3")]
    assert titles == ["base", "RL (segments)"]


def test_the_page_opens_with_few_elements_and_builds_a_part_when_it_is_opened(screen):
    at_load = elements(screen)
    assert at_load <= 3000
    screen.driver.execute_cdp_cmd("HeapProfiler.collectGarbage", {})
    counters = screen.driver.execute_cdp_cmd("Memory.getDOMCounters", {})
    assert counters["nodes"] <= 3000  # text counts here, and what a template would hide
    part = screen.open_part("numbers")
    assert elements(screen) > at_load + 500
    assert part.find_elements("css selector", "#table-overall tbody tr")
    part.find_element("css selector", "summary").click()
    screen.open_part("numbers")
    assert len(screen.find("#table-overall")) == 1  # built once


def test_every_part_can_be_opened_and_holds_something(screen):
    errors = screen.driver.get_log("browser")
    for name in [part.get_attribute("id") for part in screen.find("details.part")]:
        part = screen.open_part(name)
        assert len(part.find_elements("css selector", ".inside *")) > 20, name
    assert screen.driver.get_log("browser") == [] == errors
    captions = screen.js("return [...document.querySelectorAll('table')].filter(t => !t.caption)")
    assert len(screen.find("table")) > 8 and captions == []


def test_a_link_to_a_part_opens_it(browser, large_report):
    browser.open(large_report / "report.html", *DESKTOP)
    browser.js("location.hash = '#slices'")
    WebDriverWait(browser.driver, 10).until(lambda _: browser.find("#slices[open] table"))


def test_a_phone_gets_a_short_page_that_never_scrolls_sideways(phone):
    assert phone.js("return document.documentElement.scrollHeight") <= 5000
    assert phone.js("return document.documentElement.scrollWidth") == PHONE[0]
    open_all(phone)
    assert phone.js("return document.documentElement.scrollWidth") == PHONE[0]


def copied(browser, table, form):
    """The clipboard's text after a click on the table's button, and what the page says."""
    browser.driver.execute_cdp_cmd(
        "Browser.grantPermissions",
        {"permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"]},
    )
    (button,) = browser.find(f"#table-{table} [data-copy={form}]")
    browser.scroll_to(button)
    button.click()
    (status,) = browser.find(f"#table-{table} .copy [role=status]")
    WebDriverWait(browser.driver, 10).until(lambda _: status.text == f"{form} copied")
    return browser.driver.execute_async_script(
        "navigator.clipboard.readText().then(arguments[0], (error) => arguments[0](String(error)))"
    )


@pytest.mark.parametrize(("form", "suffix"), [("CSV", "csv"), ("LaTeX", "tex"), ("Markdown", "md")])
def test_a_button_copies_the_tables_own_file(screen, large_report, form, suffix):
    screen.open_part("slices")
    path = large_report / "tables" / f"ece_by_dataset.{suffix}"
    assert copied(screen, "ece_by_dataset", form) == path.read_text(encoding="utf-8")


def test_the_first_table_is_copied_too(screen):
    lines = copied(screen, "main_verbal", "CSV").splitlines()
    rows = list(csv.DictReader(io.StringIO("\n".join(x for x in lines if not x.startswith("#")))))
    assert len(rows) == 6 and rows[0]["model"] == "base" and float(rows[0]["Brier low"]) > 0


def test_text_that_may_not_be_copied_is_shown_to_be_copied_by_hand(screen):
    """As over plain HTTP, where a page has no clipboard."""
    screen.js(
        "Object.defineProperty(navigator, 'clipboard', { value: undefined, configurable: true });"
        "document.execCommand = () => false;"
    )
    screen.find("#table-main_verbal [data-copy=CSV]")[0].click()
    (field,) = screen.find("#table-main_verbal .copy textarea")
    assert field.get_attribute("value") == screen.js("return tableText('main_verbal', 'CSV')")
    assert screen.js("return arguments[0].selectionEnd", field) > 100


def test_a_bar_stands_at_its_bins_mean_confidence(screen):
    """A one-decimal 0.7 is the whole of its bin:
    the bar is at 0.7, not at the bin's middle, 0.75.
    """
    scale = "return [x(0), x(1)]"
    left, right = screen.js(scale)
    bars = screen.js(
        "return [...document.querySelectorAll('.panel:first-child .bin')].map((bin) => {"
        "const bar = bin.querySelector('.bar'), gap = bin.querySelector('.gap');"
        "return [bin.getAttribute('aria-label'), ...[bar, gap].flatMap((b) =>"
        " ['x', 'width'].map((a) => Number(b.getAttribute(a))))]; })"
    )
    assert len(bars) >= 8
    for label, start, width, *gap in bars:
        mean = float(re.search(r"mean confidence ([\d.]+)", label)[1])
        assert (start + width / 2 - left) / (right - left) == pytest.approx(mean, abs=2e-3)
        assert gap == [start, width]
    ends = [(start, start + width) for _, start, width, *_ in bars]
    assert all(before[1] <= after[0] for before, after in zip(ends, ends[1:], strict=False))
    assert ends[0][0] >= 32 and ends[-1][1] <= 274  # inside the plot


def test_what_the_paper_has_no_values_for_is_not_beside_it(screen):
    assert [part.get_attribute("id") for part in screen.find("details.part")] == [
        *("verdicts", "reliability", "numbers", "pairs", "slices", "examples", "provenance")
    ]
    titles = screen.js("return data.parts.slices.map((name) => data.tables[name].title)")
    assert "Calibration on pocket-digit by subset" in titles  # ours, as one more slice
