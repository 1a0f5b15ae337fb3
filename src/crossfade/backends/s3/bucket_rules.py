"""What a bucket's settings say, as words; empty where they set nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from crossfade.backends.s3.documents import Element

_EVERYBODY = "http://acs.amazonaws.com/groups/global/AllUsers"
_ANYBODY = "http://acs.amazonaws.com/groups/global/AuthenticatedUsers"
ARCHIVES = frozenset({"GLACIER", "DEEP_ARCHIVE"})


def versioning(root: Element) -> str:
    """Say whether versions are kept."""
    return {"Enabled": "on", "Suspended": "suspended, older versions are kept"}.get(
        root.value("Status"), ""
    )


def object_lock(root: Element) -> str:
    """Say whether objects may be locked, and for how long they are by default."""
    if root.value("ObjectLockEnabled") != "Enabled":
        return ""
    for rule in root.all("Rule"):
        for kept in rule.all("DefaultRetention"):
            days = kept.value("Days")
            time = f"{days} days" if days else f"{kept.value('Years')} years"
            return f"each new version is locked for {time} ({kept.value('Mode').lower()})"
    return "on, without a default"


def lifecycle(root: Element, prefix: str) -> dict[str, list[str]]:
    """Return the rules in force that may concern keys behind a prefix, by what they do.

    ``expires`` removes objects, ``archives`` moves them to where they cannot be read at once,
    ``aborts_uploads`` removes parts of uploads that nobody completed.
    """
    found: dict[str, list[str]] = {"expires": [], "archives": [], "aborts_uploads": []}
    for rule in root.all("Rule"):
        below = _prefix_of(rule)
        concerns = below.startswith(prefix) or prefix.startswith(below)
        if rule.value("Status") != "Enabled" or not concerns:
            continue
        name = repr(rule.value("ID")[:60]) if rule.value("ID") else "a rule without a name"
        where = f"below {below!r}" if below else "of the whole bucket"
        for expiration in rule.all("Expiration"):
            if expiration.value("Days") or expiration.value("Date"):
                when = _when(expiration)
                found["expires"].append(f"{name} removes objects {where} {when}")
        for move in rule.all("Transition"):
            if move.value("StorageClass") in ARCHIVES:
                found["archives"].append(
                    f"{name} moves objects {where} to {move.value('StorageClass')} {_when(move)}"
                )
        for abort in rule.all("AbortIncompleteMultipartUpload"):
            found["aborts_uploads"].append(
                f"{name}, after {abort.value('DaysAfterInitiation')} days"
            )
    return found


def _when(element: Element) -> str:
    days = element.value("Days")
    return f"after {days} days" if days else f"from {element.value('Date')[:10]} on"


def _prefix_of(rule: Element) -> str:
    if rule.value("Prefix"):
        return rule.value("Prefix")
    for chosen in rule.all("Filter"):
        if chosen.value("Prefix"):
            return chosen.value("Prefix")
        for both in chosen.all("And"):
            return both.value("Prefix")
    return ""


def acl_words(root: Element) -> str:
    """Say who but the owner is granted something."""
    owner = next((one.value("ID") for one in root.all("Owner")), "")
    found = set()
    for grants in root.all("AccessControlList"):
        for grant in grants.all("Grant"):
            for grantee in grant.all("Grantee"):
                uri = grantee.value("URI")
                if uri in {_EVERYBODY, _ANYBODY}:
                    who = "everybody" if uri == _EVERYBODY else "anybody with an account"
                    found.add(f"{who}: {grant.value('Permission')}")
                elif grantee.value("ID") != owner:
                    found.add(f"another account: {grant.value('Permission')}")
    return ", ".join(sorted(found))
