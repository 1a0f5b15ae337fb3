"""What `check` shows of a bucket that it probed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crossfade.faces.cli.exits import Exit
from crossfade.testing.servers import ENVIRONMENT, moto_server

if TYPE_CHECKING:
    import pytest
    from tests.faces.projects import Project


def test_check_shows_what_a_probe_saw_and_what_to_write(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    project.make()
    with moto_server() as server:
        url = server.url(server.new_bucket())
        text = project.config.read_text().replace("local:./target", url)
        project.config.write_text(text)
        said = project.run("check")
        assert said.code == Exit.DONE
        assert "puts with If-None-Match: *    honoured" in said.out
        assert "wrong SHA-256 refused         ignored" in said.out
        (probe,) = project.json("check").document["probes"]
        assert (probe["migration"], probe["side"]) == ("avatars", "target")
        assert probe["report"]["finished"]
        assert {claim["standing"] for claim in probe["claims"]} == {"less"}
        project.config.write_text(text.replace("&server=moto", ""))
        said = project.json("check")
        assert said.code == Exit.PROBLEMS
        problems = [one for one in said.document["findings"] if one["level"] == "problem"]
        assert [one["code"] for one in problems] == ["configuration.capability"]
        assert "write server=moto in its URL" in problems[0]["message"]
        assert project.json("begin", "avatars").error["hint"] == "write server=moto in its URL"
