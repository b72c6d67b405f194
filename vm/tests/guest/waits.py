"""A test that is in nobody's way, and never done."""

import threading


def test_waits() -> None:
    threading.Event().wait()
