"""A real browser. Debian and Ubuntu: apt-get install chromium chromium-driver."""

import shutil

import pytest
from selenium.webdriver.support.ui import WebDriverWait

from tests.eval.large_records import write_large_records


class Browser:
    """Headless Chromium on one page; every console message and network request is kept."""

    def __init__(self):
        from selenium import webdriver

        options = webdriver.ChromeOptions()
        options.binary_location = (
            shutil.which("chromium") or shutil.which("google-chrome") or "chromium"
        )
        for argument in (
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
        ):
            options.add_argument(argument)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        service = webdriver.ChromeService(shutil.which("chromedriver") or "chromedriver")
        self.driver = webdriver.Chrome(options=options, service=service)

    def open(self, path, width=1280, height=900, dark=False):
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
        self.driver.get("about:blank")  # so that what is waited for below cannot be the page before
        self.driver.get(path.as_uri())
        drawn = (
            "return document.readyState === 'complete' "
            "&& document.querySelector('.panel svg') !== null"
        )
        WebDriverWait(self.driver, 30).until(lambda _: self.js(drawn))

    def js(self, script, *arguments):
        return self.driver.execute_script(script, *arguments)

    def open_part(self, name):
        """Open a collapsed part of the page as a reader does, and give its element."""
        (part,) = self.find(f"#{name}")
        if part.get_attribute("open") is None:
            summary = part.find_element("css selector", "summary")
            self.scroll_to(summary)
            summary.click()
            WebDriverWait(self.driver, 10).until(
                lambda _: self.js("return built.has(arguments[0])", name)
            )
        return part

    def scroll_to(self, element):
        self.js("arguments[0].scrollIntoView({behavior: 'instant', block: 'center'})", element)

    def find(self, selector):
        from selenium.webdriver.common.by import By

        return self.driver.find_elements(By.CSS_SELECTOR, selector)


@pytest.fixture(scope="session")
def browser():
    started = Browser()
    yield started
    started.driver.quit()


@pytest.fixture(scope="session")
def large_report(tmp_path_factory):
    """The report of six models, seven protocols and five datasets;
    few answers, as the page's size is not theirs.
    """
    from eval.__main__ import main

    made = tmp_path_factory.mktemp("large")
    write_large_records(made / "records", answers=60)
    assert main(["report", f"--records={made / 'records'}", f"--out={made / 'out'}"]) == 0
    return made / "out"
