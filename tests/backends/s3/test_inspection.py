"""What a bucket says of itself, from servers that say it otherwise, or say nothing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.backends.s3.scripted import answer, error, serving

from crossfade.backends.s3.addresses import parse
from crossfade.backends.s3.bucket_rules import acl_words, lifecycle, object_lock
from crossfade.backends.s3.documents import parse as parsed
from crossfade.backends.s3.inspection import Inspector
from crossfade.core.surroundings import Known
from crossfade.testing.servers import ENVIRONMENT

if TYPE_CHECKING:
    from tests.backends.s3.scripted import Act

    from crossfade.core.surroundings import Condition

pytestmark = pytest.mark.anyio


async def of_bucket(act: Act) -> dict[str, Condition]:
    async with serving(act) as script:
        address = parse(f"s3://bucket/in?endpoint={script.endpoint}", folder=Path(), field="it")
        inspector = Inspector(address, environment=ENVIRONMENT)
        try:
            return {one.name: one for one in await inspector.bucket()}
        finally:
            await inspector.close()


@pytest.mark.parametrize(
    "act",
    [
        error(501, "NotImplemented"),
        error(403, "AccessDenied"),
        error(404, "NoSuchKey"),
        answer(200, "<ListBucketResult/>"),
        answer(200, "no document"),
        answer(204),
    ],
)
async def test_what_a_server_does_not_say_is_unknown_and_not_no(act: Act) -> None:
    found = await of_bucket(act)
    assert len(found) == 8
    assert {one.known for one in found.values()} == {Known.UNKNOWN}
    assert all(one.words for one in found.values())


async def test_words_of_a_server_are_shown_in_one_printable_line() -> None:
    rule = "<CORSRule><AllowedOrigin>a\u009b31m\nb</AllowedOrigin></CORSRule>"
    found = await of_bucket(answer(200, f"<CORSConfiguration>{rule}</CORSConfiguration>"))
    assert found["cors"].known is Known.YES
    assert found["cors"].words == "1 rules, for a 31m b"


async def test_an_archived_object_is_told_from_one_that_was_restored() -> None:
    cases = {
        "": True,
        'ongoing-request="true"': True,
        'ongoing-request="false", expiry-date="x"': False,
    }
    for restore, archived in cases.items():
        headers = {"x_amz_storage_class": "GLACIER", "etag": "t", "x_amz_tagging_count": "0"}
        act = answer(200, **headers, **({"x_amz_restore": restore} if restore else {}))
        async with serving(act) as script:
            address = parse(f"s3://bucket?endpoint={script.endpoint}", folder=Path(), field="it")
            inspector = Inspector(address, environment=ENVIRONMENT)
            looked = await inspector.object("key")
            await inspector.close()
        assert looked.archived is archived
        assert list(looked.not_carried) == ["storage class"]


RULES = """<LifecycleConfiguration>
<Rule><ID>a</ID><Status>Enabled</Status><Prefix>in/logs/</Prefix>
<Expiration><Date>2030-01-02T00:00:00Z</Date></Expiration></Rule>
<Rule><Status>Enabled</Status><Filter><And><Prefix>in/</Prefix><Tag/></And></Filter>
<Transition><Days>3</Days><StorageClass>DEEP_ARCHIVE</StorageClass></Transition>
<Transition><Days>1</Days><StorageClass>STANDARD_IA</StorageClass></Transition></Rule>
<Rule><ID>c</ID><Status>Enabled</Status><Filter><Prefix>other/</Prefix></Filter>
<Expiration><Days>1</Days></Expiration></Rule>
<Rule><ID>d</ID><Status>Enabled</Status><Filter/>
<Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>
<AbortIncompleteMultipartUpload><DaysAfterInitiation>7</DaysAfterInitiation>
</AbortIncompleteMultipartUpload></Rule>
</LifecycleConfiguration>"""


def test_rules_that_concern_a_prefix_are_sorted_by_what_they_do() -> None:
    assert lifecycle(parsed(RULES.encode()), "in/") == {
        "expires": ["'a' removes objects below 'in/logs/' from 2030-01-02 on"],
        "archives": [
            "a rule without a name moves objects below 'in/' to DEEP_ARCHIVE after 3 days"
        ],
        "aborts_uploads": ["'d', after 7 days"],
    }


def test_who_is_granted_something_beside_the_owner_is_named() -> None:
    def of(grantee: str) -> str:
        return acl_words(
            parsed(
                "<AccessControlPolicy><Owner><ID>me</ID></Owner><AccessControlList><Grant>"
                f"<Grantee>{grantee}</Grantee><Permission>READ</Permission></Grant>"
                "</AccessControlList></AccessControlPolicy>".encode()
            )
        )

    group = "http://acs.amazonaws.com/groups/global/"
    assert of("<ID>me</ID>") == ""
    assert of("<ID>you</ID>") == "another account: READ"
    assert of(f"<URI>{group}AllUsers</URI>") == "everybody: READ"
    assert of(f"<URI>{group}AuthenticatedUsers</URI>") == "anybody with an account: READ"


def test_a_lock_says_for_how_long() -> None:
    text = "<O><ObjectLockEnabled>Enabled</ObjectLockEnabled>{}</O>"
    rule = (
        "<Rule><DefaultRetention><Mode>COMPLIANCE</Mode><Years>2</Years></DefaultRetention></Rule>"
    )
    assert object_lock(parsed(text.format(rule).encode())).endswith("2 years (compliance)")
    assert object_lock(parsed(text.format("").encode())) == "on, without a default"
    assert object_lock(parsed(b"<O/>")) == ""
