"""How errors are answered: one JSON body, stable codes, no internals."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from app.api.auditing import note_refusal
from app.api.envelope import error_answer, request_id
from app.api.models import ErrorBody
from app.errors import Forbidden, Invalid, WusetuError

log = logging.getLogger("wusetu.web")

HTTP_CODES = {
    404: ("not_found", "nothing is served at this address; see /api/openapi.json"),
    405: ("method_not_allowed", "this address does not know this method"),
}


def field_errors(error: RequestValidationError) -> list[dict[str, Any]]:
    """Field, reason and the value given, for each thing wrong with a request."""
    return [
        {
            "field": ".".join(str(step) for step in item["loc"]),
            "reason": item["msg"],
            "given": repr(item.get("input"))[:200],
        }
        for item in error.errors()
    ]


def domain_error(request: Request, error: Exception) -> Response:
    """Answer an error a user can mend."""
    assert isinstance(error, WusetuError)
    if error.status >= 500:
        log.error("request %s: %s", request_id(request.scope), error.message, exc_info=error)
    if type(error) is Forbidden:
        note_refusal(request, error)
    body = ErrorBody(
        code=error.code,
        message=error.message,
        detail=error.detail,
        request_id=request_id(request.scope),
    )
    answer = error_answer(error.status, body)
    if error.retry_after is not None:
        answer.headers["Retry-After"] = str(error.retry_after)
    return answer


def invalid_request(request: Request, error: Exception) -> Response:
    """Answer a parameter that is missing, misspelt or out of its bounds."""
    assert isinstance(error, RequestValidationError)
    fields = field_errors(error)
    names = ", ".join(f"{row['field']} ({row['reason']})" for row in fields)
    body = ErrorBody(
        code="invalid",
        message=f"the request is not valid: {names}",
        detail=fields,
        request_id=request_id(request.scope),
    )
    return error_answer(422, body)


def http_error(request: Request, error: Exception) -> Response:
    """Answer what routing itself refuses."""
    assert isinstance(error, HTTPException)
    if error.status_code == 400:  # the framework's word for a body it cannot even take for text
        return domain_error(request, Invalid("the body is not JSON in UTF-8"))
    phrase = HTTPStatus(error.status_code).phrase
    code, message = HTTP_CODES.get(
        error.status_code, (phrase.lower().replace(" ", "_"), phrase.lower())
    )
    body = ErrorBody(code=code, message=message, request_id=request_id(request.scope))
    answer = error_answer(error.status_code, body)
    answer.headers.update(error.headers or {})
    return answer


def install(app: FastAPI) -> None:
    """Register the handlers; the envelope answers what none of them knows."""
    app.add_exception_handler(WusetuError, domain_error)
    app.add_exception_handler(RequestValidationError, invalid_request)
    app.add_exception_handler(HTTPException, http_error)
