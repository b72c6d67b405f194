"""The page of a run in a browser: what a reader does with it, on screens of each kind, how large and quick it is."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select, WebDriverWait

from helpers.report import page
from helpers.report.outcomes import Details, Outcome
from helpers.subject import Subject
from helpers.tests.pages import shown_on
from suites.errata import ERRATA

BROWSER, DRIVER = "chromium", "chromedriver"
HOSTILE = "7.9 <script>alert('kernel')</script> x86_64"
PROGRAM = "int main(void)\n{\n\treturn 1 < 2 && 3 > 2; /* <b> */\n}\n"
PICTURE = {
    "memory": ["pages 0-7: anon <i>"],
    "operations": ["map(span=0..8)", "scan(span=0..8)"],
    "argument": {"size": "96", "flags": "0"},
    "expected": "returns 1 region",
    "observed": "returns 0 regions",
    "strip": {"start": 0, "first": 2, "expected": "..aa....", "observed": "........", "names": {"a": "WRITTEN"}},
}
FAILED, KNOWN = "suites/test_a.py::test_fails[<img src=x>]", "suites/test_a.py::test_is_known"
MET = "walk-end-after-eperm: a sentence (not fixed)"

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(
        not (shutil.which(BROWSER) and shutil.which(DRIVER)), reason="no browser: install chromium and chromium-driver"
    ),
]


def outcomes(count: int) -> list[Outcome]:
    """So many tests, of which one failed, and one met an erratum."""
    details = Details("KernelDiffers: <b>it</b> differs", PICTURE, {"name": "failures/a.c", "text": PROGRAM})
    found = [
        Outcome(FAILED, "failed", "it differs", ("written-since-protected",), (), 0.1, ("anon-populated",), details),
        Outcome(KNOWN, "xfailed", MET, ("abort",), (MET,), 0.1, ("thp",)),
    ]
    names = (f"suites/test_b.py::test_a_sentence_about_the_contract_of_usual_length[kind-{n}]" for n in range(count))
    return found + [Outcome(name, "passed", "", ("categories",), (), 0.01, ("anon-populated",)) for name in names]


def written(path: Path, count: int) -> str:
    """The address of the page of such a run."""
    missing = {"swap": "<script>alert('missing')</script>"}
    subject = Subject(HOSTILE, "#1", "4096 bytes", "WRITTEN", missing)
    run = page.Run(
        subject, "does not conform", "pagemap-scan: the line", ["a disk was <full>"], outcomes(count), ERRATA
    )
    path.write_text(page.render(run))
    return path.as_uri()


@pytest.fixture(scope="module")
def browser() -> Iterator[webdriver.Chrome]:
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which(BROWSER)
    for word in ("headless", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-sync"):
        options.add_argument(f"--{word}")
    options.add_argument("--disable-background-networking")
    options.add_argument("--disable-component-update")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    with webdriver.Chrome(options, webdriver.ChromeService(shutil.which(DRIVER))) as driver:
        driver.set_page_load_timeout(60)
        yield driver


@pytest.fixture
def address(tmp_path: Path, browser: webdriver.Chrome) -> Iterator[str]:
    """Of a page with 100 tests; nothing may be said on the console while it is used."""
    browser.set_window_size(1300, 900)
    yield written(tmp_path / "report.html", 98)
    assert browser.get_log("browser") == []


def visible(browser: webdriver.Chrome) -> list[str]:
    rows = browser.find_elements(By.CSS_SELECTOR, "tr.test:not([hidden]) .name")
    return [row.text.splitlines()[0] for row in rows]


def test_the_verdict_and_the_kernel_are_read_first(browser: webdriver.Chrome, address: str) -> None:
    browser.get(address)
    header = browser.find_element(By.TAG_NAME, "header")
    assert header.location["y"] < 50
    assert f"{HOSTILE} does not conform" in header.text and "a disk was <full>" in header.text
    assert browser.title == f"does not conform: PAGEMAP_SCAN on {HOSTILE}"


def test_a_failure_is_one_click_away_and_its_program_another(browser: webdriver.Chrome, address: str) -> None:
    browser.get(address)
    browser.find_element(By.CSS_SELECTOR, "header a.failed").click()
    assert visible(browser) == [FAILED]
    browser.find_element(By.CSS_SELECTOR, "tr.test.failed summary").click()
    shown = browser.find_element(By.CSS_SELECTOR, "tr.test.failed")
    assert "Pages from 0 on; the first difference is page 2." in shown.text
    assert shown.find_element(By.CSS_SELECTOR, ".strip .first").text == "a"
    browser.execute_script("document.querySelector('tr.test.failed details.program').open = true")
    shown.find_element(By.CSS_SELECTOR, ".copy").click()
    WebDriverWait(browser, 10).until(lambda _: shown.find_element(By.CSS_SELECTOR, ".copy").text == "Copied")
    area = browser.execute_script("return document.body.appendChild(document.createElement('textarea'))")
    area.send_keys(Keys.CONTROL, "v")
    assert area.get_property("value") == PROGRAM


@pytest.mark.parametrize(
    ("field", "value", "test"),
    [("outcome", "failed", FAILED), ("clause", "abort", KNOWN), ("kind", "thp", KNOWN), ("erratum", MET, KNOWN)],
)
def test_a_filter_is_in_the_address_and_can_be_sent(
    browser: webdriver.Chrome, address: str, field: str, value: str, test: str
) -> None:
    value = value.partition(":")[0]
    browser.get(address)
    Select(browser.find_element(By.NAME, field)).select_by_visible_text(value)
    WebDriverWait(browser, 10).until(lambda _: browser.find_element(By.TAG_NAME, "output").text == "1 of 100 tests")
    assert visible(browser)[0] == test
    sent = browser.current_url
    assert sent == f"{address}#{field}={value}"
    browser.get("about:blank")
    browser.get(sent)
    assert visible(browser)[0] == test
    assert browser.find_element(By.NAME, field).get_property("value") == value


def test_text_is_found_and_a_test_has_an_address(browser: webdriver.Chrome, address: str) -> None:
    browser.get(address)
    browser.find_element(By.NAME, "text").send_keys("KIND-97")
    assert [name[-8:] for name in visible(browser)] == ["kind-97]"]
    browser.get("about:blank")
    browser.get(f"{address}#test={quote(FAILED)}")
    assert visible(browser) == [FAILED]
    assert browser.find_element(By.CSS_SELECTOR, "tr.test.failed .strip").is_displayed()


def test_a_clause_and_an_erratum_lead_to_their_tests(browser: webdriver.Chrome, address: str) -> None:
    browser.get(address)
    browser.find_element(By.LINK_TEXT, "abort").click()
    assert visible(browser)[0] == KNOWN
    article = browser.find_element(By.ID, "erratum-walk-end-after-eperm")
    assert "Who is hurt" in article.text and "A write is lost" in article.text and "not fixed" in article.text
    article.find_element(By.LINK_TEXT, "1 test").click()
    assert visible(browser)[0] == KNOWN


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1300, 2500])
def test_nothing_is_wider_than_the_window(browser: webdriver.Chrome, address: str, width: int, theme: str) -> None:
    wanted = [{"name": "prefers-color-scheme", "value": theme}]
    screen = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": wanted})
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    try:
        browser.get(f"{address}#test={quote(FAILED)}")
        assert browser.execute_script("return document.documentElement.scrollWidth <= innerWidth")
        brightness = browser.execute_script("return getComputedStyle(document.body).backgroundColor.match(/\\d+/)[0]")
        assert (int(brightness) > 200) == (theme == "light")
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_on_paper_failures_are_open_and_nothing_is_to_be_clicked(browser: webdriver.Chrome, address: str) -> None:
    browser.get(address)
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    try:
        browser.execute_script("dispatchEvent(new Event('beforeprint'))")
        assert browser.find_element(By.CSS_SELECTOR, "tr.test.failed .strip").is_displayed()
        assert not browser.find_element(By.ID, "filter").is_displayed()
    finally:
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    assert browser.print_page()


def test_five_thousand_tests_are_small_and_quick(browser: webdriver.Chrome, tmp_path: Path) -> None:
    address = written(tmp_path / "report.html", 4998)
    assert (tmp_path / "report.html").stat().st_size < 5 << 20
    assert len(shown_on(tmp_path / "report.html")) == 5000
    loaded = "const [told] = performance.getEntriesByType('navigation'); return told.loadEventEnd"
    filtered = (
        "const begun = performance.now(); location.hash = 'outcome=failed'; apply(); return performance.now() - begun"
    )
    times = []
    for _ in range(3):  # Others may want the processor, too.
        browser.get("about:blank")
        browser.get(address)
        times.append(browser.execute_script(loaded) + browser.execute_script(filtered))
        assert visible(browser) == [FAILED]
    assert min(times) < 2000
