"""Options of pytest and of its plugins that would make the verdict wrong, or do nothing: refused in a sentence."""

from __future__ import annotations

import pytest

_NO_CACHE = "what failed in the last run isn't kept: name the tests, or choose them with -k"
_REFUSED = {
    "reruns": "--reruns: a test that fails and then doesn't has failed: this suite runs each once",
    "force_flaky": "--force-flaky: a test that fails and then doesn't has failed: this suite runs each once",
    "lf": f"--last-failed: {_NO_CACHE}",
    "failedfirst": f"--failed-first: {_NO_CACHE}",
    "newfirst": f"--new-first: {_NO_CACHE}",
    "stepwise": f"--stepwise: {_NO_CACHE}",
    "stepwise_skip": f"--stepwise-skip: {_NO_CACHE}",
    "stepwise_reset": f"--stepwise-reset: {_NO_CACHE}",
    "cacheshow": f"--cache-show: {_NO_CACHE}",
    "cacheclear": f"--cache-clear: {_NO_CACHE}",
}


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """Before anything is set up, and before --cache-show takes the run's place."""
    has_cache = config.pluginmanager.hasplugin("cacheprovider")
    for option, sentence in _REFUSED.items():
        if config.getoption(option, None) and not (has_cache and sentence.endswith(_NO_CACHE)):
            raise pytest.UsageError(sentence)
