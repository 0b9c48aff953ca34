"""A real browser. Debian and Ubuntu: apt-get install chromium chromium-driver."""

import shutil

import pytest
from selenium.webdriver.support.ui import WebDriverWait


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
        drawn = "return document.readyState === 'complete' && document.querySelector('.panel svg') !== null"
        WebDriverWait(self.driver, 30).until(lambda _: self.js(drawn))

    def js(self, script, *arguments):
        return self.driver.execute_script(script, *arguments)

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
