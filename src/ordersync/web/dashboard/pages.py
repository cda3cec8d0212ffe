"""The files of the dashboard, as a browser gets them: read once, compressed once.

Nothing on the page comes from elsewhere and nothing on it is made of markup that somebody sent: the
policy below forbids both, whatever the page's own code does.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import re
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from starlette.responses import Response
from starlette.routing import Route

if TYPE_CHECKING:
    from starlette.requests import Request

PAGE = Path(__file__).parent / "page"
PREFIX = "/dashboard/"

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}
_IMPORT_MAP = re.compile(r'<script type="importmap">(.*?)</script>', re.DOTALL)
_NOT_MODIFIED = 304


class Served(msgspec.Struct, frozen=True):
    """One file: its bytes, the same compressed, its type, and a name for this content."""

    body: bytes
    squeezed: bytes
    kind: str
    etag: str


def read_files(folder: Path = PAGE) -> dict[str, Served]:
    """Every file of the page by its path below `folder`. Raises OSError."""
    return {
        path.relative_to(folder).as_posix(): _read(path)
        for path in sorted(folder.rglob("*"))
        if path.suffix in _TYPES
    }


def policy(index: bytes) -> str:
    """The Content-Security-Policy of the page: this origin alone, no inline script, no markup.

    Browsers take an import map only from within the page, so it is let in by its hash.
    """
    maps = _IMPORT_MAP.findall(index.decode())
    digests = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in maps]
    scripts = " ".join(["'self'", *(f"'sha256-{digest}'" for digest in digests)])
    return "; ".join(
        [
            "default-src 'none'",
            f"script-src {scripts}",
            "style-src 'self'",
            "img-src 'self'",
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types ordersync",
        ]
    )


def dashboard_routes() -> list[Route]:
    """The page at `/` and its files below `/dashboard/`. Raises OSError where they are missing."""
    files = read_files()
    headers = {
        "content-security-policy": policy(files["index.html"].body),
        "x-content-type-options": "nosniff",
        "x-frame-options": "DENY",
        "referrer-policy": "no-referrer",
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
        "permissions-policy": "camera=(), geolocation=(), microphone=()",
        # Asked for each time and answered 304: after an update nobody sees half of the old page.
        "cache-control": "no-cache",
        "vary": "accept-encoding",
    }

    def give(request: Request, name: str) -> Response:
        served = files.get(name)
        if served is None:
            return Response("There is no such file.\n", 404, headers, "text/plain")
        told = {**headers, "etag": served.etag}
        if served.etag in request.headers.get("if-none-match", ""):
            return Response(status_code=_NOT_MODIFIED, headers=told)
        squeezed = "gzip" in request.headers.get("accept-encoding", "")
        if squeezed:
            told["content-encoding"] = "gzip"
        return Response(served.squeezed if squeezed else served.body, 200, told, served.kind)

    async def index(request: Request) -> Response:
        return give(request, "index.html")

    async def file(request: Request) -> Response:
        return give(request, request.path_params["path"])

    return [Route("/", index), Route(PREFIX + "{path:path}", file)]


def _read(path: Path) -> Served:
    body = path.read_bytes()
    return Served(
        body=body,
        squeezed=gzip.compress(body, mtime=0),
        kind=_TYPES[path.suffix],
        etag=f'"{hashlib.sha256(body).hexdigest()[:20]}"',
    )
