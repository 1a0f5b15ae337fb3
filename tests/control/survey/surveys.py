"""Surveys as tests ask for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.backends.s3.lying import stored

from crossfade.control.survey.surveying import Options, survey
from crossfade.setup.prices import load_prices

if TYPE_CHECKING:
    from pathlib import Path

    from tests.backends.s3.lying import LyingServer

    from crossfade.control.survey.report import SurveyReport


def folder(path: Path, files: dict[str, bytes] | None = None) -> str:
    path.mkdir()
    for name, data in (files or {}).items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    return f"local://{path}"


async def surveyed(source: str, target: str, **options: Any) -> SurveyReport:
    return await survey(source, target, Options(prices=load_prices(None), **options), print)


def codes(report: SurveyReport, side: str = "") -> set[str]:
    return {one.code for one in report.troubles if not side or one.side == side}


def told(report: SurveyReport, code: str, side: str = "") -> str:
    found = [one for one in report.troubles if one.code == code and one.side == (side or one.side)]
    assert len(found) == 1, (code, report.troubles)
    return " | ".join((found[0].message, found[0].hint, *found[0].examples))


def fill(server: LyingServer, count: int) -> None:
    for number in range(count):
        server.objects[f"k{number:05}"] = stored(b"x" * 10)
