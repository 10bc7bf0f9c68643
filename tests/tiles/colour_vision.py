"""How colours look to other eyes and how far apart they are: formulas for the tests of the palette.

Imports nothing of the project. sRGB as three floats in 0…1, linear unless said; Lab for D65, 2°.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

Triple = tuple[float, float, float]
Matrix = tuple[Triple, Triple, Triple]

#: Machado, Oliveira, Fernandes (2009), severity 1, on linear sRGB
MACHADO: dict[str, Matrix] = {
    "protan": (
        (0.152286, 1.052583, -0.204868),
        (0.114503, 0.786281, 0.099216),
        (-0.003882, -0.048116, 1.051998),
    ),
    "deutan": (
        (0.367322, 0.860646, -0.227968),
        (0.280085, 0.672501, 0.047413),
        (-0.011820, 0.042940, 0.968881),
    ),
    "tritan": (
        (1.255528, -0.076749, -0.178779),
        (-0.078411, 0.930809, 0.147602),
        (0.004733, 0.691367, 0.303900),
    ),
}
#: linear RGB of a display to cone responses, as Viénot, Brettel, Mollon (1999) give it
TO_LMS: Matrix = (
    (17.8824, 43.5161, 4.11935),
    (3.45565, 27.1554, 3.86714),
    (0.0299566, 0.184309, 1.46709),
)
SRGB_TO_XYZ: Matrix = (
    (0.4124564, 0.3575761, 0.1804375),
    (0.2126729, 0.7151522, 0.0721750),
    (0.0193339, 0.1191920, 0.9503041),
)
WHITE = (0.95047, 1.0, 1.08883)


def times(matrix: Sequence[Sequence[float]], vector: Sequence[float]) -> Triple:
    """Matrix times column."""
    a, b, c = (sum(x * y for x, y in zip(row, vector, strict=True)) for row in matrix)
    return a, b, c


def linear(colour: str) -> Triple:
    """Linear sRGB of #RRGGBB."""
    parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    r, g, b = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return r, g, b


def seen(rgb: Triple, eye: str) -> Triple:
    """What an eye sees, clipped to what a display can show; `normal` sees all."""
    if eye == "normal":
        return rgb
    r, g, b = (min(1.0, max(0.0, c)) for c in times(MACHADO[eye], rgb))
    return r, g, b


def vienot(rgb: Triple, eye: str) -> Triple:
    """The same for protan and deutan eyes by the plane through white and blue of Viénot et al.

    Computed, not looked up: the missing cone's response is the mix of the two others that leaves
    white and the display's blue as they are.
    """
    missing = {"protan": 0, "deutan": 1}[eye]
    one, other = (k for k in range(3) if k != missing)
    white, blue = times(TO_LMS, (1, 1, 1)), times(TO_LMS, (0, 0, 1))
    # missing = p·one + q·other for both anchors
    det = white[one] * blue[other] - white[other] * blue[one]
    p = (white[missing] * blue[other] - white[other] * blue[missing]) / det
    q = (white[one] * blue[missing] - white[missing] * blue[one]) / det
    lms = list(times(TO_LMS, rgb))
    lms[missing] = p * lms[one] + q * lms[other]
    return solve(TO_LMS, (lms[0], lms[1], lms[2]))


def solve(matrix: Matrix, right: Triple) -> Triple:
    """Solve three equations by Cramer's rule."""

    def det(m: Sequence[Sequence[float]]) -> float:
        return (
            m[0][0] * (m[1][1] * m[2][2] - m[1][2] * m[2][1])
            - m[0][1] * (m[1][0] * m[2][2] - m[1][2] * m[2][0])
            + m[0][2] * (m[1][0] * m[2][1] - m[1][1] * m[2][0])
        )

    whole = det(matrix)
    found = []
    for k in range(3):
        put = [list(row) for row in matrix]
        for row, value in zip(put, right, strict=True):
            row[k] = value
        found.append(det(put) / whole)
    return found[0], found[1], found[2]


def lab(rgb: Triple) -> Triple:
    """CIE L*a*b* of linear sRGB."""

    def bent(t: float) -> float:
        return t ** (1 / 3) if t > (6 / 29) ** 3 else t / (3 * (6 / 29) ** 2) + 4 / 29

    xyz = times(SRGB_TO_XYZ, rgb)
    x, y, z = (bent(max(0.0, c) / w) for c, w in zip(xyz, WHITE, strict=True))
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


def ciede2000(one: Triple, other: Triple) -> float:
    """Colour difference of CIE 142 between two Lab colours; formula as in Sharma, Wu, Dalal (2005)."""
    (l1, a1, b1), (l2, a2, b2) = one, other
    mean = (math.hypot(a1, b1) + math.hypot(a2, b2)) / 2
    g = 0.5 * (1 - math.sqrt(mean**7 / (mean**7 + 25**7)))
    a1, a2 = (1 + g) * a1, (1 + g) * a2
    c1, c2 = math.hypot(a1, b1), math.hypot(a2, b2)
    h1, h2 = (math.degrees(math.atan2(b, a)) % 360 for a, b in ((a1, b1), (a2, b2)))
    turn = h2 - h1
    if c1 * c2 == 0:
        turn, middle = 0.0, h1 + h2
    else:
        middle = (h1 + h2) / 2
        if abs(turn) > 180:
            turn -= math.copysign(360, turn)
            middle += 180 if h1 + h2 < 360 else -180
    light, chroma = (l1 + l2) / 2, (c1 + c2) / 2
    wave = (
        1
        - 0.17 * math.cos(math.radians(middle - 30))
        + 0.24 * math.cos(math.radians(2 * middle))
        + 0.32 * math.cos(math.radians(3 * middle + 6))
        - 0.20 * math.cos(math.radians(4 * middle - 63))
    )
    s_l = 1 + 0.015 * (light - 50) ** 2 / math.sqrt(20 + (light - 50) ** 2)
    s_c, s_h = 1 + 0.045 * chroma, 1 + 0.015 * chroma * wave
    bend = math.radians(60 * math.exp(-(((middle - 275) / 25) ** 2)))
    turned = -math.sin(bend) * 2 * math.sqrt(chroma**7 / (chroma**7 + 25**7))
    d_l = (l2 - l1) / s_l
    d_c = (c2 - c1) / s_c
    d_h = 2 * math.sqrt(c1 * c2) * math.sin(math.radians(turn / 2)) / s_h
    return math.sqrt(d_l**2 + d_c**2 + d_h**2 + turned * d_c * d_h)


def nearest(fills: Sequence[str], eye: str) -> float:
    """Smallest difference between any two fills to an eye."""
    looks = [lab(seen(linear(one), eye)) for one in fills]
    return min(ciede2000(a, b) for k, a in enumerate(looks) for b in looks[:k])
