"""A service that keeps users' pictures, as files in a directory."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias
from wsgiref.simple_server import make_server

import crossfade

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

Answer: TypeAlias = tuple[str, bytes]


class Storage:
    """Where the pictures are: `files/<user>/<name>`."""

    def __init__(self, files: crossfade.sync.Files) -> None:
        self.files = files

    def save(self, user: str, name: str, picture: bytes) -> None:
        """Keep a picture, in the place of one that has its name."""
        self.files.put(f"{user}/{name}", picture, subject=user)

    def load(self, user: str, name: str) -> bytes:
        """Return a picture; FileNotFoundError when there is none."""
        with self.files.get(f"{user}/{name}", subject=user) as picture:
            return picture.read()

    def delete(self, user: str, name: str) -> None:
        """Delete a picture; one that is not there is no error."""
        self.files.delete(f"{user}/{name}", subject=user)

    def list(self, user: str) -> list[str]:
        """Return the names of a user's pictures, in order."""
        return [one.key.split("/")[1] for one in self.files.list(f"{user}/", subject=user)]


class Service:
    """Answers `GET`, `PUT` and `DELETE /<user>/<name>`, and lists `GET /<user>/`; a WSGI app."""

    def __init__(self, storage: Storage) -> None:
        self.storage = storage

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        """Answer one request."""
        _, user, name, *more = f"{environ['PATH_INFO']}//".split("/")
        if not user or any(more) or user.startswith(".") or name.startswith("."):
            status, body = "400 Bad Request", b"/<user>/<name>, please"
        else:
            status, body = self.answer(environ, user, name)
        start_response(status, [("Content-Length", str(len(body)))])
        return [body]

    def answer(self, environ: WSGIEnvironment, user: str, name: str) -> Answer:
        """Return status and body."""
        match environ["REQUEST_METHOD"], name:
            case "GET", "":
                return "200 OK", "\n".join(self.storage.list(user)).encode()
            case "GET", _:
                try:
                    return "200 OK", self.storage.load(user, name)
                except FileNotFoundError:
                    return "404 Not Found", b""
            case "PUT", name if name:
                body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
                self.storage.save(user, name, body)
                return "204 No Content", b""
            case "DELETE", name if name:
                self.storage.delete(user, name)
                return "204 No Content", b""
            case _:
                return "405 Method Not Allowed", b""


if __name__ == "__main__":
    with crossfade.sync.open("crossfade.toml") as xf:
        make_server("127.0.0.1", 8000, Service(Storage(xf.files("avatars")))).serve_forever()
