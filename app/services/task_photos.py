"""Photos of tasks: decoded, turned upright, made smaller, encoded anew. Imports Pillow.

Promises: nothing a camera wrote into a file (EXIF, position, thumbnail, comments) is kept; a file is
refused before it is decoded when it claims more pixels than allowed. Photos are of places.
"""

from __future__ import annotations

import hashlib
import io
import warnings
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any, NamedTuple
from uuid import UUID

import sqlalchemy as sa

from app.api import task_models as models
from app.errors import Conflict, Invalid, NotFound

MOST_BYTES = 5 * 2**20
MOST_PIXELS = 40_000_000
LONGEST_SIDE = 1600
MOST_PHOTOS = 12
QUALITY = 82
FORMATS = ("JPEG", "PNG", "WEBP")


class Form(NamedTuple):
    """What a multipart form brought."""

    key: UUID
    photo: bytes


class Photo(NamedTuple):
    """A photo as it is stored: JPEG, nothing but pixels."""

    body: bytes
    width: int
    height: int


def _bad(message: str, field: str, reason: str) -> Invalid:
    return Invalid(message, {"field": field, "reason": reason})


def form(content_type: str, body: bytes) -> Form:
    """Take a form with `key` and `photo` apart.

    Raises
    ------
    Invalid
        It is no multipart form, a field is missing, unknown or given twice, the key is no UUID.
    """
    if not content_type.lower().startswith("multipart/form-data"):
        raise _bad("send the photo as multipart/form-data: key, photo", "photo", "malformed")
    head = f"Content-Type: {content_type}\r\n\r\n".encode("latin-1", "replace")
    message = BytesParser(policy=HTTP).parsebytes(head + body)
    found: dict[str, bytes] = {}
    for part in message.iter_parts() if message.is_multipart() else ():
        field = part.get_param("name", header="content-disposition")
        payload = part.get_payload(decode=True)
        if not isinstance(payload, bytes):
            continue
        if field not in {"key", "photo"} or field in found:
            raise _bad("the fields are key and photo, each once", "photo", "unknown")
        found[str(field)] = payload
    for name in ("key", "photo"):
        if not found.get(name):
            raise _bad(f"the form has no {name}", name, "missing")
    try:
        key = UUID(found["key"].decode("ascii").strip())
    except ValueError as error:
        raise _bad("key: give a UUID", "key", "malformed") from error
    return Form(key, found["photo"])


def encoded(body: bytes) -> Photo:
    """Encode a photo anew.

    Raises
    ------
    Invalid
        Too large, of another format, broken, or of too many pixels.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    if len(body) > MOST_BYTES:
        raise _bad(f"photo: at most {MOST_BYTES:,} bytes", "photo", "too_large")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # its own, lower limits
            with Image.open(io.BytesIO(body), formats=FORMATS) as image:
                if image.width * image.height > MOST_PIXELS:
                    raise _bad(f"photo: at most {MOST_PIXELS:,} pixels", "photo", "too_many_pixels")
                image.draft("RGB", (LONGEST_SIDE, LONGEST_SIDE))
                upright = ImageOps.exif_transpose(image)
                upright.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
                if upright.mode in {"RGBA", "LA", "PA"} or "transparency" in upright.info:
                    ground = Image.new("RGB", upright.size, "white")
                    layer = upright.convert("RGBA")
                    ground.paste(layer, mask=layer.getchannel("A"))
                    upright = ground
                # a new image: no profile, comment or tag of the old one comes with it
                plain = Image.new("RGB", upright.size)
                plain.paste(upright.convert("RGB"))
    except Invalid:
        raise
    except UnidentifiedImageError as error:
        raise _bad("photo: JPEG, PNG or WebP", "photo", "format") from error
    except Exception as error:  # decoders raise whatever they like on broken files
        raise _bad("photo: the file is broken", "photo", "broken") from error
    out = io.BytesIO()
    plain.save(out, "JPEG", quality=QUALITY, optimize=True)
    return Photo(out.getvalue(), plain.width, plain.height)


def add(connection: sa.Connection, task: int, given: Form) -> models.PhotoMade:
    """Keep a photo with a task; the same key again changes nothing.

    Raises
    ------
    NotFound
        No such task.
    Conflict
        The task is over, or has as many photos as it may have.
    Invalid
        See `encoded`.
    """
    state = connection.execute(
        sa.text("select state from task where id = :id"), {"id": task}
    ).scalar_one_or_none()
    if state is None:
        raise NotFound(f"no task {task}")
    there = _by_key(connection, task, given.key)
    if there is not None:
        return there
    if state in {"closed", "merged"}:
        raise Conflict(f"the task is {state}", {"state": state})
    _room(connection, task)
    photo = encoded(given.photo)
    # one after the other, until the transaction ends: two at one moment would both find room
    connection.execute(
        sa.text("select pg_advisory_xact_lock(hashtextextended('wusetu photos ' || :id, 0))"),
        {"id": str(task)},
    )
    there = _by_key(connection, task, given.key)
    if there is not None:
        return there
    _room(connection, task)
    connection.execute(
        sa.text(
            "insert into task_photo (task_id, key, body, digest, width, height) "
            "values (:task, :key, :body, :digest, :width, :height) on conflict (task_id, key) do nothing"
        ),
        {
            "task": task, "key": given.key, "body": photo.body,
            "digest": hashlib.sha256(photo.body).digest(),
            "width": photo.width, "height": photo.height,
        },
    )  # fmt: skip
    made = _by_key(connection, task, given.key)
    assert made is not None
    return made


def _room(connection: sa.Connection, task: int) -> None:
    count = connection.execute(
        sa.text("select count(*) from task_photo where task_id = :id"), {"id": task}
    ).scalar_one()
    if count >= MOST_PHOTOS:
        raise Conflict(f"a task has at most {MOST_PHOTOS} photos")


def _by_key(connection: sa.Connection, task: int, key: UUID) -> models.PhotoMade | None:
    row: Any = connection.execute(
        sa.text(
            "select id as photo, width, height, length(body) as bytes from task_photo "
            "where task_id = :task and key = :key"
        ),
        {"task": task, "key": key},
    ).one_or_none()
    return None if row is None else models.PhotoMade(**row._mapping)


def read(connection: sa.Connection, task: int, photo: int) -> bytes:
    """Read a photo: JPEG.

    Raises
    ------
    NotFound
        There is none that may be seen.
    """
    body = connection.execute(
        sa.text("select body from task_photo where task_id = :task and id = :photo"),
        {"task": task, "photo": photo},
    ).scalar_one_or_none()
    if body is None:
        raise NotFound(f"no photo {photo} of task {task}")
    return bytes(body)
