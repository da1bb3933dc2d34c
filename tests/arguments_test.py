import pytest

from anime_pt import arguments


def test_flags_and_keys_mix():
    given = arguments.parse(
        "images=600_000, demo,rate=1e-3", ("demo", "plain"), images=int, rate=float, data=str
    )
    assert given == {"demo": True, "plain": False, "images": 600000, "rate": 1e-3}
    assert arguments.parse("", ("demo",)) == {"demo": False}


@pytest.mark.parametrize(
    ("arg", "message"),
    [
        ("dmeo", "unknown config argument 'dmeo'; known: demo, images=<int>"),
        ("image=4", "unknown config argument 'image=4'; known: demo, images=<int>"),
        ("demo=1", "unknown config argument 'demo=1'"),
        ("images", "unknown config argument 'images'"),
        ("images=many", "'many' is no int; known: demo, images=<int>"),
        ("demo,demo", "'demo' is given twice"),
    ],
)
def test_bad_arguments_are_named(arg, message):
    with pytest.raises(ValueError, match=message):
        arguments.parse(arg, ("demo",), images=int)
