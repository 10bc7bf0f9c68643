"""Every set can be told apart by every eye, as far apart as the look of the product says."""

from __future__ import annotations

import itertools

import pytest

from tiles import palette

from .colour_vision import (
    MACHADO,
    ciede2000,
    lab,
    linear,
    nearest,
    seen,
    times,
    vienot,
)

#: smallest difference between any two classes: normal, deutan, protan, tritan
LEAST = {
    "light": (24.9, 14.0, 15.3, 13.4),
    "wall": (25.9, 13.9, 17.0, 15.5),
    "stepped_light": (24.3, 16.3, 23.5, 13.3),
    "stepped_wall": (27.8, 15.7, 10.8, 15.1),
}
EYES = ("normal", "deutan", "protan", "tritan")
#: published pairs of Sharma, Wu, Dalal (2005)
PAIRS = [
    ((50, 2.6772, -79.7751), (50, 0, -82.7485), 2.0425),
    ((50, 3.1571, -77.2803), (50, 0, -82.7485), 2.8615),
    ((50, -1.3802, -84.2814), (50, 0, -82.7485), 1.0000),
    ((50, 0, 0), (50, -1, 2), 2.3669),
    ((50, 2.49, -0.001), (50, -2.49, 0.0009), 7.1792),
    ((50, 2.5, 0), (73, 25, -18), 27.1492),
    ((50, 2.5, 0), (61, -5, 29), 22.8977),
    ((50, 2.5, 0), (56, -27, -3), 31.9030),
    ((50, 2.5, 0), (58, 24, 15), 19.4535),
    ((60.2574, -34.0099, 36.2677), (60.4626, -34.1751, 39.4387), 1.2644),
    ((2.0776, 0.0795, -1.1350), (0.9033, -0.0636, -0.5514), 0.9082),
]


def fills(name: str) -> list[str]:
    return [one.fill(name).fill for one in palette.CLASSES[1:]]


@pytest.mark.parametrize(("one", "other", "wanted"), PAIRS)
def test_the_difference_is_the_published_one(
    one: tuple[float, float, float], other: tuple[float, float, float], wanted: float
) -> None:
    assert ciede2000(one, other) == pytest.approx(wanted, abs=5e-5)
    assert ciede2000(other, one) == pytest.approx(wanted, abs=5e-5)


def test_lab_of_known_colours() -> None:
    assert lab(linear("#FFFFFF")) == pytest.approx((100, 0, 0), abs=0.02)
    assert lab(linear("#FF0000")) == pytest.approx((53.24, 80.09, 67.20), abs=0.02)
    assert lab(linear("#0000FF")) == pytest.approx((32.30, 79.19, -107.86), abs=0.02)


@pytest.mark.parametrize("eye", sorted(MACHADO))
def test_every_eye_leaves_grey_grey(eye: str) -> None:
    for row in MACHADO[eye]:
        assert sum(row) == pytest.approx(1, abs=2e-6)
    for grey in (0.0, 0.2, 0.7, 1.0):
        assert seen((grey, grey, grey), eye) == pytest.approx((grey,) * 3, abs=1e-5)


@pytest.mark.parametrize(
    ("eye", "matrix"),
    [
        ("protan", ((0.11238, 0.88762, 0), (0.11238, 0.88762, 0), (0.00401, -0.00401, 1))),
        ("deutan", ((0.29275, 0.70725, 0), (0.29275, 0.70725, 0), (-0.02234, 0.02234, 1))),
    ],
)
def test_the_plane_of_vienot_is_the_published_matrix(
    eye: str, matrix: tuple[tuple[float, ...], ...]
) -> None:
    for colour in ("#C0262E", "#F5CC48", "#86B0DA", "#B7E0AC", "#102030"):
        assert vienot(linear(colour), eye) == pytest.approx(times(matrix, linear(colour)), abs=2e-4)


@pytest.mark.parametrize("name", palette.SETS)
def test_every_eye_tells_the_classes_apart(name: str) -> None:
    found = [nearest(fills(name), eye) for eye in EYES]
    assert found == pytest.approx(LEAST[name], abs=0.06)


@pytest.mark.parametrize("name", palette.SETS)
@pytest.mark.parametrize("eye", ["protan", "deutan"])
def test_another_model_of_the_eye_agrees(name: str, eye: str) -> None:
    looks = []
    for one in fills(name):
        r, g, b = (min(1.0, max(0.0, c)) for c in vienot(linear(one), eye))
        looks.append(lab((r, g, b)))
    least = min(ciede2000(a, b) for k, a in enumerate(looks) for b in looks[:k])
    assert least >= 8.5


@pytest.mark.parametrize("eye", EYES)
def test_the_stepped_light_set_keeps_its_order_in_every_eye(eye: str) -> None:
    lightness = [lab(seen(linear(one), eye))[0] for one in fills("stepped_light")]
    assert lightness == sorted(lightness, reverse=True)
    assert min(a - b for a, b in itertools.pairwise(lightness)) >= 5
