"""What a command line can't have is refused in a sentence: options of pytest and of its plugins that would make the
verdict wrong, or do nothing, and, by whichever process finds it out, tests that there are not.
"""

from __future__ import annotations

from typing import Any

import pytest

#: Of a worker's output: what it doesn't accept of the command line.
_REFUSAL = "refusal"
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


class Workers:
    """In the controlling process: pytest-xdist's workers collect the tests, and it keeps what they refuse."""

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        if refusal := getattr(node, "workeroutput", {}).get(_REFUSAL):
            raise pytest.UsageError(refusal)


class Worker:
    def __init__(self, config: Any) -> None:
        self.output: dict[str, object] = config.workeroutput

    @pytest.hookimpl(wrapper=True)
    def pytest_collection(self) -> Any:
        try:
            return (yield)
        except pytest.UsageError as refused:
            self.output[_REFUSAL] = str(refused)
            raise


@pytest.hookimpl(trylast=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """As late as this: a worker has an output when pytest-xdist has begun."""
    config = session.config
    config.pluginmanager.register(Worker(config) if hasattr(config, "workerinput") else Workers())
