"""What is asked of a server that it may honour, refuse, ignore, or get wrong."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from hashlib import md5, sha256
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from crossfade.backends.s3 import problems
from crossfade.backends.s3.documents import DocumentError, parse
from crossfade.backends.s3.headers import SHA256_HEADER, base64_of
from crossfade.backends.s3.probe_requests import OK, Asker, said
from crossfade.core.probed import Answered, Observation

if TYPE_CHECKING:
    from crossfade.backends.s3.client import Answer

Trial = Callable[[Asker], Awaitable[Observation]]

_FAILED, _CONFLICT, _PART, _WHOLE = 412, 409, 206, 200
_NOT_FOUND, _FORBIDDEN = 404, 403
_FIRST, _SECOND = b"first", b"second"
_OTHER_TAG = '"0123456789abcdef0123456789abcdef"'
_ROUNDS = 5


def _of(name: str, answered: Answered, words: str = "") -> Observation:
    return Observation(name=name, answered=answered, words=words)


async def create_only(asker: Asker) -> Observation:
    """Put with ``If-None-Match: *`` where nothing is, and then where something is."""
    name, condition = "create_only", {"if-none-match": "*"}
    answer = await asker.ask("PUT", "create", headers=condition, body=_FIRST)
    if answer.status not in OK:
        return _of(name, Answered.REFUSED, f"a put that may create is answered {said(answer)}")
    answer = await asker.ask("PUT", "create", headers=condition, body=_SECOND)
    return await _judged(asker, name, "create", answer)


async def swap_on_write(asker: Asker) -> Observation:
    """Put with ``If-Match``: the object's own tag, and then another."""
    name = "swap_on_write"
    tag = await asker.put("swap", _SECOND)
    answer = await asker.ask("PUT", "swap", headers={"if-match": tag}, body=_FIRST)
    if answer.status not in OK:
        return _of(name, Answered.REFUSED, f"a put with the right tag is answered {said(answer)}")
    answer = await asker.ask("PUT", "swap", headers={"if-match": _OTHER_TAG}, body=_SECOND)
    return await _judged(asker, name, "swap", answer)


async def swap_on_delete(asker: Asker) -> Observation:
    """Delete with ``If-Match`` of another tag."""
    name = "swap_on_delete"
    await asker.put("leave", _FIRST)
    answer = await asker.ask("DELETE", "leave", headers={"if-match": _OTHER_TAG})
    return await _judged(asker, name, "leave", answer)


async def _judged(asker: Asker, name: str, key: str, answer: Answer) -> Observation:
    """Say what became of a change whose condition did not hold."""
    same = await asker.get(key) == _FIRST
    if answer.status in {_FAILED, _CONFLICT}:
        words = "" if same else f"answered {said(answer)}, and the object was changed"
        return _of(name, Answered.HONOURED if same else Answered.WRONG, words)
    if answer.status in OK:
        if same:
            return _of(name, Answered.WRONG, "answered with success, and nothing was done")
        return _of(name, Answered.IGNORED, "the condition is ignored without a word")
    return _of(name, Answered.REFUSED, f"answered {said(answer)}")


async def checksum_sha256(asker: Asker) -> Observation:
    """Put with a right ``x-amz-checksum-sha256``, and then with a wrong one."""
    sums = [base64_of(sha256(data).hexdigest()) for data in (_FIRST, _SECOND)]
    return await _checksum(asker, "checksum_sha256", SHA256_HEADER, sums)


async def checksum_md5(asker: Asker) -> Observation:
    """Put with a right ``Content-MD5``, and then with a wrong one."""
    # S3 asks for it; it protects nothing.
    sums = [base64_of(md5(data, usedforsecurity=False).hexdigest()) for data in (_FIRST, _SECOND)]
    return await _checksum(asker, "checksum_md5", "content-md5", sums)


async def _checksum(asker: Asker, name: str, header: str, sums: list[str]) -> Observation:
    answer = await asker.ask("PUT", name, headers={header: sums[0]}, body=_FIRST)
    if answer.status not in OK:
        return _of(name, Answered.REFUSED, f"a right one is answered {said(answer)}")
    answer = await asker.ask("PUT", name, headers={header: sums[1]}, body=_FIRST)
    if answer.status in OK:
        return _of(name, Answered.IGNORED, "a wrong one is taken without a word")
    return _of(name, Answered.HONOURED)


async def range_reads(asker: Asker) -> Observation:
    """Read a part of an object."""
    data = bytes(range(250))
    await asker.put("range", data)
    answer = await asker.ask("GET", "range", headers={"range": "bytes=10-19"})
    if answer.status in {_WHOLE, _PART} and answer.body == data[10:20]:
        return _of("range_reads", Answered.HONOURED)
    if answer.status == _WHOLE and answer.body == data:
        return _of("range_reads", Answered.IGNORED, "a range is answered with the whole object")
    if answer.status in {_WHOLE, _PART}:
        return _of("range_reads", Answered.WRONG, "a range is answered with other bytes")
    return _of("range_reads", Answered.REFUSED, f"a range is answered {said(answer)}")


async def conditional_reads(asker: Asker) -> Observation:
    """Read with ``If-Match``: the object's own tag, and then another."""
    name = "conditional_reads"
    tag = await asker.put("match", _FIRST)
    answer = await asker.ask("GET", "match", headers={"if-match": tag})
    if answer.status not in OK:
        return _of(name, Answered.REFUSED, f"the right tag is answered {said(answer)}")
    answer = await asker.ask("GET", "match", headers={"if-match": _OTHER_TAG})
    if answer.status == _FAILED:
        return _of(name, Answered.HONOURED)
    if answer.status in OK:
        return _of(name, Answered.IGNORED, "a read of another version is answered")
    return _of(name, Answered.REFUSED, f"another tag is answered {said(answer)}")


async def read_after_write(asker: Asker) -> Observation:
    """Read right after each of a few overwrites, and after a delete."""
    name = "read_after_write"
    for number in range(_ROUNDS):
        data = b"version %d" % number
        await asker.put("again", data)
        found = await asker.get("again")
        if found != data:
            words = "right after a put a read finds " + ("none" if found is None else "another")
            return _of(name, Answered.WRONG, words)
    await asker.delete("again")
    if await asker.get("again") is not None:
        return _of(name, Answered.WRONG, "right after a delete a read finds the object")
    return _of(name, Answered.HONOURED)


async def read_back(asker: Asker) -> Observation:
    """Put every byte there is, and read the same."""
    data = bytes(range(256)) * 5 + b"\r\n\0"
    await asker.put("bytes", data)
    if await asker.get("bytes") == data:
        return _of("read_back", Answered.HONOURED)
    return _of("read_back", Answered.WRONG, "other bytes come back than were put")


async def absent_key(asker: Asker) -> Observation:
    """Ask for a key that nobody put."""
    answer = await asker.ask("GET", "nobody/put/this")
    words = f"an absent key is answered {said(answer)}"
    if answer.status == _NOT_FOUND and problems.code_of(answer) == "NoSuchKey":
        return _of("absent_key", Answered.HONOURED)
    if answer.status == _FORBIDDEN:
        return _of("absent_key", Answered.REFUSED, words)
    return _of("absent_key", Answered.WRONG, words)


async def tags_recur(asker: Asker) -> Observation:
    """Put the same bytes twice, with other metadata."""
    tags = [await asker.put("tag", _FIRST, {"x-amz-meta-n": str(n)}) for n in range(2)]
    if tags[0] == tags[1]:
        return _of("tags_recur", Answered.HONOURED, "the same bytes have the same tag")
    return _of("tags_recur", Answered.REFUSED, "each version has a tag of its own")


async def multipart(asker: Asker) -> Observation:
    """Put an object in one part."""
    answer = await asker.ask("POST", "parts", parameters=(("uploads", ""),))
    try:
        upload = parse(answer.body).value("UploadId") if answer.status in OK else ""
    except DocumentError:
        upload = ""
    if not upload:
        words = f"an upload in parts is answered {said(answer)}"
        return _of("multipart", Answered.REFUSED, words)
    words = await _in_a_part(asker, upload)
    if words:
        await asker.ask("DELETE", "parts", parameters=(("uploadId", upload),))
        return _of("multipart", Answered.REFUSED, words)
    if await asker.get("parts") == _FIRST:
        return _of("multipart", Answered.HONOURED)
    return _of("multipart", Answered.WRONG, "other bytes come back than were put")


async def _in_a_part(asker: Asker, upload: str) -> str:
    parameters = (("partNumber", "1"), ("uploadId", upload))
    answer = await asker.ask("PUT", "parts", parameters=parameters, body=_FIRST)
    if answer.status not in OK:
        return f"a part is answered {said(answer)}"
    tag = escape(answer.headers.get("etag", ""), {'"': "&quot;"})
    document = (
        f"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{tag}</ETag></Part>"
        "</CompleteMultipartUpload>"
    )
    headers = {"content-type": "application/xml"}
    answer = await asker.ask(
        "POST",
        "parts",
        parameters=(("uploadId", upload),),
        headers=headers,
        body=document.encode(),
    )
    if answer.status not in OK or problems.code_of(answer):
        return f"putting the parts together is answered {said(answer)}"
    return ""


TRIALS: tuple[Trial, ...] = (
    absent_key,
    read_after_write,
    read_back,
    range_reads,
    conditional_reads,
    create_only,
    swap_on_write,
    swap_on_delete,
    checksum_sha256,
    checksum_md5,
    tags_recur,
    multipart,
)
