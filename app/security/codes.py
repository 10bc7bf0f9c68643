"""One-time codes of a second device (TOTP, RFC 6238) and recovery codes.

Imports nothing of the project. The QR code is drawn here; nothing leaves the installation.
"""

from __future__ import annotations

import base64
import hmac
import io
import secrets
import time

import pyotp
import segno

STEP = 30  # seconds a code lasts
RECOVERY_CODES = 10


def new_secret() -> str:
    """160 random bits in base32."""
    return pyotp.random_base32()


def address(secret: str, name: str) -> str:
    """Return what the QR code says."""
    return pyotp.TOTP(secret).provisioning_uri(name=name, issuer_name="Wusetu")


def picture(text: str) -> str:
    """QR code as an SVG document."""
    found = io.BytesIO()
    segno.make(text, error="m").save(
        found, kind="svg", xmldecl=False, scale=4, border=4, dark="#12161C", light="#fff"
    )
    return found.getvalue().decode()


def step_of(secret: str, code: str, after: int | None, now: float | None = None) -> int | None:
    """Time step a code belongs to; None when it is wrong or was used.

    Parameters
    ----------
    secret : base32
    code : six digits
    after : the last step used; only later ones count, so no code works twice
    now : seconds since 1970; the clock's when None

    Notes
    -----
    The step before and the one after are accepted too (RFC 6238, 5.2).
    """
    given = code.replace(" ", "")
    if len(given) != 6 or not (given.isascii() and given.isdigit()):
        return None
    totp = pyotp.TOTP(secret)
    present = int((time.time() if now is None else now) // STEP)
    found = None
    for step in (present - 1, present, present + 1):
        right = hmac.compare_digest(totp.generate_otp(step), given)
        if right and (after is None or step > after):
            found = step
    return found


def new_recovery() -> list[str]:
    """Ten recovery codes of 80 random bits, in groups for reading."""
    return [_grouped(secrets.token_bytes(10)) for _ in range(RECOVERY_CODES)]


def recovery_form(code: str) -> str | None:
    """Canonical form of a recovery code as typed; None when it is none."""
    bare = code.replace("-", "").replace(" ", "").upper()
    if len(bare) != 16 or any(one not in "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567" for one in bare):
        return None
    return "-".join(bare[at : at + 4] for at in range(0, 16, 4))


def _grouped(raw: bytes) -> str:
    text = base64.b32encode(raw).decode()
    return "-".join(text[at : at + 4] for at in range(0, len(text), 4))
