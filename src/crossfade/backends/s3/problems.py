"""What an answer, or none, means for a caller: which error, what to do, and the outcome.

Of a request that changes something the protocol knows two ends but success. *Refused for
certain*: no connection was made; a redirect; a 4xx but 408 and 429. *Unknown*: everything else, a
200 whose body is an error included. A body leaves with its headers, so that a 429 or 503 comes
after it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from crossfade.backends.s3.documents import DocumentError, Element, parse
from crossfade.errors import (
    AccessDeniedError,
    BackendError,
    BackendUnavailableError,
    IntegrityError,
    InvalidKeyError,
    InvalidMetadataError,
    ObjectNotFoundError,
    ObjectTooLargeError,
    OutcomeUnknownError,
    PreconditionError,
    SlowDownError,
    StorageFullError,
)

if TYPE_CHECKING:
    from crossfade.backends.s3.client import Answer, Failure, Request


class UploadForgottenError(BackendError):
    """The server knows no such upload in parts: it was restarted, or something ended it."""


_SHOWN_MAX = 200
_SERVER_ERROR = 500
_REDIRECT = 300
_CLIENT_ERROR = 400
_NOT_FOUND = 404
_OTHER_REGION = frozenset({"AuthorizationHeaderMalformed", "IllegalLocationConstraintException"})
_UNSURE = frozenset({408, 429})
_BUSY = frozenset({429, 503})

_LOOK_AGAIN = "look at the object again"
_PERMISSIONS = {
    "stat": "allow s3:GetObject; without s3:ListBucket an absent key is answered so, too",
    "read": "allow s3:GetObject; without s3:ListBucket an absent key is answered so, too",
    "write": "allow s3:PutObject and s3:AbortMultipartUpload to these credentials",
    "delete": "allow s3:DeleteObject to these credentials",
}
_LISTING = "allow s3:ListBucket to these credentials"

_CODES: dict[str, tuple[type[BackendError], str]] = {
    "NoSuchBucket": (BackendError, "make the bucket, or correct its name"),
    "NoSuchUpload": (
        UploadForgottenError,
        "send it again: something ended the upload in parts",
    ),
    "InvalidBucketName": (BackendError, "correct the bucket's name"),
    "InvalidAccessKeyId": (AccessDeniedError, "correct the credentials: it knows no such key"),
    "SignatureDoesNotMatch": (
        AccessDeniedError,
        "correct the credentials: the secret is not that of the access key",
    ),
    "ExpiredToken": (AccessDeniedError, "renew the credentials: the session's token expired"),
    "InvalidToken": (AccessDeniedError, "renew the credentials: the session's token is no good"),
    "RequestTimeTooSkewed": (AccessDeniedError, "set this machine's clock, or the server's"),
    "RequestExpired": (AccessDeniedError, "set this machine's clock, or the server's"),
    "InvalidObjectState": (AccessDeniedError, "restore the object from its archive first"),
    "BadDigest": (IntegrityError, "nothing was written; send the body again from its start"),
    "InvalidDigest": (IntegrityError, "nothing was written; choose another checksum="),
    "IncompleteBody": (IntegrityError, "nothing was written; send the body again"),
    "XAmzContentSHA256Mismatch": (IntegrityError, "nothing was written; send the body again"),
    "XAmzContentChecksumMismatch": (IntegrityError, "nothing was written; send the body again"),
    "EntityTooLarge": (ObjectTooLargeError, "the server takes no object of that size"),
    "KeyTooLongError": (InvalidKeyError, "give a shorter key"),
    "InvalidURI": (InvalidKeyError, "the server holds no such key"),
    "InvalidObjectName": (InvalidKeyError, "the server holds no such key"),
    "XMinioInvalidObjectName": (InvalidKeyError, "the server holds no such key"),
    "MetadataTooLarge": (InvalidMetadataError, "leave some of the metadata out"),
    "QuotaExceeded": (StorageFullError, "raise the quota, or make room"),
    "XMinioStorageFull": (StorageFullError, "make room"),
    "PreconditionFailed": (PreconditionError, "it was replaced; look at it again"),
    "InvalidRange": (PreconditionError, "ask for a range that begins before the object's end"),
    "SlowDown": (SlowDownError, "send less at once"),
    "TooManyRequests": (SlowDownError, "send less at once"),
    # A 400 for a body that came too slowly: nothing was taken.
    "RequestTimeout": (BackendUnavailableError, "send it again"),
    "OperationAborted": (BackendUnavailableError, "send it again: another change is under way"),
    "ConditionalRequestConflict": (BackendUnavailableError, "send it again"),
}
_STATUSES: dict[int, tuple[type[BackendError], str]] = {
    404: (BackendUnavailableError, "look at the endpoint: this is no answer of an object store"),
    408: (BackendUnavailableError, "send it again"),
    412: (PreconditionError, "it was replaced; look at it again"),
    413: (ObjectTooLargeError, "the server takes no object of that size"),
    414: (InvalidKeyError, "the server takes no key of that length"),
    416: (PreconditionError, "ask for a range that begins before the object's end"),
    507: (StorageFullError, "make room"),
}


def of_failure(failure: Failure, request: Request, location: str) -> BackendError:
    """Return the error of a request without an answer."""
    kind: type[BackendError] = BackendUnavailableError
    hint = failure.hint
    if request.changes and failure.sent:
        kind, hint = OutcomeUnknownError, _LOOK_AGAIN
    return _error(kind, f"{location}: {failure}", hint, request)


def of_answer(answer: Answer, request: Request, location: str) -> BackendError:
    """Return the error of an answer that is none of those that were wanted."""
    code, said, region = _read(answer)
    status = answer.status
    shown = " ".join(part for part in (str(status), code) if part)
    message = f"{location} answered {shown}"
    if request.changes and not _refused_for_certain(status):
        return _error(OutcomeUnknownError, message, _LOOK_AGAIN, request)
    if _REDIRECT <= status < _CLIENT_ERROR or region:
        hint = f"write region={region}" if region else "correct the region, or the endpoint"
        return _error(BackendError, f"{message}: the bucket is elsewhere", hint, request)
    if code == "NoSuchKey" and status == _NOT_FOUND:
        return _error(ObjectNotFoundError, f"{location} holds no such object", "", request)
    kind, hint = _sorted(status, code, request)
    if said and code not in _CODES:
        message += f" ({said})"
    return _error(kind, message, hint, request)


def of_nonsense(reason: str, request: Request, location: str) -> BackendError:
    """Return the error of an answer that promises success and is not what S3 answers."""
    kind: type[BackendError] = BackendUnavailableError
    hint = "look at the server, and at what stands before it"
    if request.changes:
        kind, hint = OutcomeUnknownError, _LOOK_AGAIN
    return _error(kind, f"{location} answered with {reason}", hint, request)


def code_of(answer: Answer) -> str:
    """Return the name that an answer gives to its error; empty where it gives none."""
    return _read(answer)[0]


def _refused_for_certain(status: int) -> bool:
    return _REDIRECT <= status < _SERVER_ERROR and status not in _UNSURE


def _sorted(status: int, code: str, request: Request) -> tuple[type[BackendError], str]:
    if code in _CODES and status < _SERVER_ERROR:
        return _CODES[code]
    if status in {401, 403}:
        return AccessDeniedError, _PERMISSIONS.get(request.operation, _LISTING)
    if status in _BUSY:
        return SlowDownError, "send less at once"
    if status in _STATUSES:
        return _STATUSES[status]
    if status >= _SERVER_ERROR:
        return BackendUnavailableError, "send it again; look at the server if it goes on"
    return BackendError, "look at what the server says of it"


def _read(answer: Answer) -> tuple[str, str, str]:
    """Return the error's code, its words and the region that it names, as far as they are given.

    The words are shown only of an error that is not known: some servers repeat the request's
    headers in them.
    """
    try:
        root = parse(answer.body)
    except DocumentError:
        root = Element("")
    code = plain(root.value("Code")) if root.name == "Error" else ""
    region = ""
    # AWS names the bucket's region in many answers, also where it is the right one.
    if _REDIRECT <= answer.status < _CLIENT_ERROR or code in _OTHER_REGION:
        region = plain(answer.headers.get("x-amz-bucket-region", "") or root.value("Region"))
    return code, plain(root.value("Message")), region


def plain(text: str) -> str:
    """Return what a server said as it can be shown: printable, and not all of a long text."""
    return "".join(each if each.isprintable() else " " for each in text[:_SHOWN_MAX]).strip()


def _error(kind: type[BackendError], message: str, hint: str, request: Request) -> BackendError:
    return kind(message, operation=request.operation, key=request.key or "", hint=hint)
