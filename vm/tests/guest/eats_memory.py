"""A test that takes all of the guest's memory."""


def test_before() -> None:
    pass


def test_memory() -> None:
    taken = []
    while True:
        taken.append(b"\1" * (16 << 20))


def test_after() -> None:
    pass
