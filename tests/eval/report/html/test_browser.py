"""The HTML report in a real headless Chromium, as a reader uses it."""

import base64
import json

import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select

PHONE = 360


@pytest.fixture
def page(browser, published):
    browser.open(published / "report.html")
    return browser


def test_no_console_message_no_request_and_no_foreign_code(browser, published):
    for log in ("browser", "performance"):
        browser.driver.get_log(log)  # of earlier pages
    browser.open(published / "report.html")
    assert browser.driver.title == "Calibration report"  # what the injection would have changed
    assert [entry["message"] for entry in browser.driver.get_log("browser")] == []
    events = [
        json.loads(entry["message"])["message"] for entry in browser.driver.get_log("performance")
    ]
    urls = [
        e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"
    ]
    assert urls and all(url.startswith(("file://", "data:")) for url in urls)
    assert sum(url.startswith("file://") for url in urls) == 1  # the page itself


def test_hovering_a_bar_tells_bin_n_confidence_accuracy_and_interval(page):
    tip = page.find("#tip")[0]
    bar = page.find(".panel .bin")[-1]
    page.scroll_to(bar)
    assert not tip.is_displayed()
    ActionChains(page.driver).move_to_element(bar).perform()
    lines = tip.text.split("\n")
    assert tip.is_displayed() and lines[0].startswith("bin 0.") and lines[1].startswith("n = ")
    assert lines[2].startswith("mean confidence 0.") and lines[4].split(" by ")[0] in (
        "over-confident",
        "under-confident",
    )
    # the same numbers as the data behind the page
    cell = page.js("return data.reliability.cells.rl.verbal.all.bins.at(-1)")
    _, n, confidence, accuracy, low, high = cell
    assert lines[1] == f"n = {n} ({n / 59:.0%})".replace("%)", " %)")
    assert lines[2:4] == [
        f"mean confidence {confidence:.3f}",
        f"accuracy {accuracy:.3f} [{low:.3f}, {high:.3f}]",
    ]


def test_bars_are_reached_by_keyboard_and_read_out(page):
    bars = page.find(".panel:first-child .bin")
    assert [bar.get_attribute("tabindex") for bar in bars] == ["0"] + ["-1"] * (len(bars) - 1)
    page.js("arguments[0].focus()", bars[0])
    bars[0].send_keys(Keys.ARROW_RIGHT)
    focused = page.driver.switch_to.active_element
    assert focused == bars[1] and page.find("#tip")[0].is_displayed()
    assert focused.get_attribute("aria-label").startswith("bin 0.")
    focused.send_keys(Keys.ESCAPE)
    assert not page.find("#tip")[0].is_displayed()


def test_protocol_questions_and_models_are_chosen(page):
    page.open_part("reliability")

    def ece():
        return [values.text.split(" ")[-1] for values in page.find("#reliability .panel .values b")]

    verbal = ece()
    assert (
        len(verbal) == 3
        and Select(page.find("select[name=protocol]")[0]).first_selected_option.text == "Verbal"
    )
    Select(page.find("select[name=protocol]")[0]).select_by_visible_text("DP")
    assert ece() != verbal
    Select(page.find("select[name=slice]")[0]).select_by_visible_text("TextVQA/neutral")
    assert all("n = 10" in values.text for values in page.find("#reliability .panel .values"))
    page.find("[data-models] input")[0].send_keys(Keys.SPACE)
    assert [title.text for title in page.find("#reliability .panel h3")] == [
        "SFT",
        "RL (Algorithm 1)",
    ]


def column(page, name):
    return page.js(
        "return [...document.querySelectorAll('#table-overall tbody tr')].filter(r => !r.hidden)"
        ".map(r => r.cells[arguments[0]].dataset.v ?? r.cells[arguments[0]].textContent.trim())",
        name,
    )


def test_tables_sort_by_number_and_by_text_both_ways(page):
    page.open_part("numbers")
    heads = page.find("#table-overall thead th button")
    page.scroll_to(heads[0])
    heads[2].click()  # ECE
    values = [float(value) for value in column(page, 2)]
    assert values == sorted(values) and len(set(values)) > 3
    assert page.find("#table-overall th[aria-sort]")[0].get_attribute("aria-sort") == "ascending"
    heads[2].click()
    assert [float(value) for value in column(page, 2)] == values[::-1]
    heads[1].click()
    assert column(page, 1) == ["base"] * 2 + ["RL (Algorithm 1)"] * 2 + ["SFT"] * 2


def test_tables_filter_by_all_words_and_say_how_many_rows(page):
    page.open_part("numbers")

    def metrics():
        rows = [row for row in page.find("#table-all_metrics tbody tr") if row.is_displayed()]
        return [row.text.split(" ")[2] for row in rows]

    assert not page.find("#table-overall input[type=search]")  # six rows need no filter
    field = page.find("#table-all_metrics input[type=search]")[0]
    page.scroll_to(field)
    field.send_keys("verbal sft ece")
    assert metrics() == ["ECE", "debiased", "adaptive", "smooth", "refinement"]
    assert page.find("#count-all_metrics")[0].text == "5 of 84 rows"
    field.send_keys(Keys.CONTROL, "a", Keys.NULL, Keys.BACK_SPACE)
    assert len(metrics()) == 16 and page.find("#count-all_metrics")[0].text == ""


def test_a_long_table_opens_with_its_first_rows(page):
    page.open_part("numbers")

    def rows():
        return len([row for row in page.find("#table-all_metrics tbody tr") if row.is_displayed()])

    button = page.find("#table-all_metrics .more")[0]
    page.scroll_to(button)
    assert (rows(), button.text) == (16, "Show all 84 rows")  # 3 models x 2 protocols x 14 metrics
    button.click()
    assert rows() == 84


def test_one_table_of_many_is_shown_at_a_time(page):
    page.open_part("slices")

    def shown():
        return [t.get_attribute("id") for t in page.find("#slices .table") if t.is_displayed()]

    assert shown() == ["table-ece_by_dataset"]
    Select(page.find("#slices select")[0]).select_by_visible_text("AUROC by task")
    assert shown() == ["table-auroc_by_task"]


def test_examples_have_images_and_are_filtered(page):
    page.open_part("examples")
    images = page.find(".example img")
    assert len(images) == 24 and all(
        page.js("return arguments[0].naturalWidth", image) > 0 for image in images
    )
    form = page.find("[data-example-filter]")[0]
    page.scroll_to(form)
    Select(page.find("[data-example-filter] [name=reason]")[0]).select_by_visible_text(
        "most over-confident"
    )
    assert len([example for example in page.find(".example") if example.is_displayed()]) == 8
    assert page.find("[data-example-count]")[0].text == "8 of 24 questions"


def test_a_curve_is_read_by_arrow_keys(page):
    page.open_part("training")
    chart = page.find(".chart svg")[0]
    page.js("arguments[0].focus()", chart)
    assert page.find("#tip")[0].text.startswith("GRPO step 12\nRL (Algorithm 1): 0.0")
    chart.send_keys(Keys.HOME)
    assert page.find("#tip")[0].text == "GRPO step 1\nRL (Algorithm 1): 0.300"


def test_a_phone_needs_no_sideways_scroll_and_has_large_targets(browser, published):
    browser.open(published / "report.html", width=PHONE, height=740)
    assert browser.js("return document.documentElement.scrollWidth") == PHONE
    assert (
        browser.js("return document.querySelector('.panel svg').getBoundingClientRect().width")
        > 0.85 * PHONE
    )
    browser.open_part("reliability")
    assert browser.js("return document.documentElement.scrollWidth") == PHONE
    for control in browser.find("#reliability .controls select"):
        assert control.size["height"] >= 40


def test_what_a_model_wrote_is_text_in_every_part(page):
    """The injection stands in q0's question and in q5's answer."""
    page.js("parts.forEach((part) => { build(part); part.open = true; })")
    assert page.driver.title == "Calibration report"
    texts = page.js(
        "return [...document.querySelectorAll('.example h3, .raw')].map((n) => n.textContent)"
    )
    assert sum("<script>document.title = 'owned'</script>" in text for text in texts) >= 2
    assert page.js("return document.querySelectorAll('script, [onerror], img[src=x]').length") == 3
    assert len(page.find("table")) == len(page.find("caption")) > 10
    assert page.js(
        "return [...document.images].every((i) => i.alt && i.src.startsWith('data:image/'))"
    )
    levels = page.js(
        "return [...document.querySelectorAll('h1, h2, h3, h4')].map((h) => Number(h.tagName[1]))"
    )
    assert all(later <= earlier + 1 for earlier, later in zip(levels, levels[1:], strict=False))


def luminance(colour):
    linear = [
        c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4
        for c in (v / 255 for v in colour)
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("dark", [False, True])
def test_text_has_contrast_in_light_and_in_dark_mode(browser, published, dark):
    """WCAG 2: at least 4.5 between text and what lies behind it."""
    browser.open(published / "report.html", dark=dark)
    browser.js("parts.forEach((part) => { build(part); part.open = true; })")
    pairs = browser.js("""
        const canvas = document.createElement('canvas')
            .getContext('2d', {willReadFrequently: true});
        const rgb = (colour) => { canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
                                  return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3); };
        const behind = (node) => { for (; node; node = node.parentElement) {
            const colour = getComputedStyle(node).backgroundColor;
            if (colour !== 'rgba(0, 0, 0, 0)') return rgb(colour); } };
        const names = ['body', '.lead', '.verdict', '.about', '.reading', '.copy button', '.notes',
            '.badge', '.better .badge', 'th button', '.ends', '.tag', '.meta', '.raw',
            '.wrong.sure .claim-text', '.right.unsure .claim-text', '.wrong.unsure .claim-text',
            '.heat td[style*="100%"]', '.heat td', 'code', 'h2'];
        return names.map((name) => { const node = document.querySelector(name);
            return [name, rgb(getComputedStyle(node).color), behind(node)]; });
    """)
    background = luminance(pairs[0][2])
    assert background < 0.05 if dark else background > 0.9
    for name, text, back in pairs:
        lighter, darker = sorted((luminance(text), luminance(back)), reverse=True)
        assert (lighter + 0.05) / (darker + 0.05) >= 4.5, (name, text, back)


def test_print_opens_what_is_closed_and_leaves_out_the_controls(page):
    printed = page.driver.execute_cdp_cmd("Page.printToPDF", {"printBackground": True})
    content = base64.b64decode(printed["data"])
    assert (
        content.startswith(b"%PDF")
        and content.count(b"/Type /Page\n") + content.count(b"/Type /Page ") >= 3
    )
    assert len(content) < 5_000_000
    page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    try:
        assert not any(
            control.is_displayed() for control in page.find(".controls, .tools, .pick, .protocol")
        )
        assert (
            page.js("return getComputedStyle(document.body).backgroundColor")
            == "rgb(255, 255, 255)"
        )
        page.js("dispatchEvent(new Event('beforeprint'))")
        assert all(details.get_attribute("open") for details in page.find("details"))
        page.js("dispatchEvent(new Event('afterprint'))")
        assert not all(details.get_attribute("open") for details in page.find("details"))
    finally:
        page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
