"""The files of the page: what they are, what they weigh, and what they never reach for."""

from __future__ import annotations

import base64
import hashlib
import re
import zipfile
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder
from starlette.applications import Starlette
from starlette.testclient import TestClient

from ordersync.web.dashboard.pages import PAGE, dashboard_routes, policy, read_files

VENDOR = PAGE / "vendor"
OURS = sorted(path for path in PAGE.iterdir() if path.suffix in {".js", ".css", ".html", ".svg"})
MODULES = [path for path in OURS if path.suffix == ".js"]
LINES = 400
WHOLE = 150_000
TO_READ = 170_000
"""Our part before it is compressed: nobody waits for that, but somebody has to read it."""


@pytest.fixture
def client() -> TestClient:
    return TestClient(Starlette(routes=dashboard_routes()))


def test_the_code_of_others_is_the_published_build_with_its_licence_beside_it() -> None:
    rows = re.findall(
        r"^\| (\S+) \|.*\[(\S+)\].*\| ([0-9a-f]{64}) \|$",
        (VENDOR / "README.md").read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    hashes = {name: digest for name, _, digest in rows}
    files = [path for path in VENDOR.iterdir() if path.suffix in {".js", ".css"}]
    assert {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files} == hashes
    assert [licence for _, licence, _ in rows if not (VENDOR / licence).is_file()] == []


def test_the_whole_page_weighs_less_than_150_kb_as_it_travels() -> None:
    files = read_files()
    assert sum(len(served.squeezed) for served in files.values()) < WHOLE
    assert sum(path.stat().st_size for path in OURS) < TO_READ


def test_no_module_of_the_page_is_longer_than_its_ceiling() -> None:
    lengths = {path.name: len(path.read_text(encoding="utf-8").splitlines()) for path in MODULES}
    assert {name: lines for name, lines in lengths.items() if lines > LINES} == {}


def test_no_module_of_the_page_imports_itself_by_a_detour() -> None:
    imports = {
        path.name: set(re.findall(r'"\./(\w+\.js)"', path.read_text(encoding="utf-8")))
        for path in MODULES
    }
    TopologicalSorter(imports).prepare()  # raises CycleError, which names them


@pytest.mark.parametrize("path", OURS, ids=lambda path: path.name)
def test_the_page_asks_nobody_else_and_makes_no_markup_of_text(path: Path) -> None:
    text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
    assert re.findall(r"https?://|[\"'(]//|@import", text) == []
    forbidden = r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(|new Function|<a |cookie"
    assert re.findall(forbidden, text) == []


def test_every_module_that_is_imported_at_once_is_fetched_at_once() -> None:
    """Else the browser would find them one after the other."""
    index = (PAGE / "index.html").read_text(encoding="utf-8")
    late = {"plots.js", "first.js"}
    modules = {path.name for path in MODULES} - late
    for name in modules - {"app.js"}:
        assert f'rel="modulepreload" href="dashboard/{name}"' in index
    for name in re.findall(r'(?:href|src)="dashboard/(\S+?)"', index):
        assert (PAGE / name).is_file(), name


def test_the_policy_lets_in_nothing_but_this_origin(client: TestClient) -> None:
    answer = client.get("/")
    said = answer.headers["content-security-policy"]
    assert said == policy(answer.content)
    assert "default-src 'none'" in said
    assert "unsafe" not in said
    assert "frame-ancestors 'none'" in said
    assert "require-trusted-types-for 'script'" in said
    scripts = re.findall(r"<script(?![^>]*\bsrc=)[^>]*>(.*?)</script>", answer.text, re.DOTALL)
    assert len(scripts) == 1  # the import map, which may stand nowhere else
    digest = base64.b64encode(hashlib.sha256(scripts[0].encode()).digest()).decode()
    assert f"'sha256-{digest}'" in said
    assert re.findall(r"\son\w+=|\sstyle=", answer.text) == []


def test_a_file_that_the_browser_has_is_not_sent_again(client: TestClient) -> None:
    first = client.get("/dashboard/app.js")
    assert first.headers["content-encoding"] == "gzip"
    assert first.headers["content-type"].startswith("text/javascript")
    again = client.get("/dashboard/app.js", headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    plain = client.get("/dashboard/app.js", headers={"accept-encoding": "identity"})
    assert plain.content == (PAGE / "app.js").read_bytes() == first.content


@pytest.mark.parametrize(
    "path", ["%2e%2e/pages.py", "vendor", "", "vendor/README.md", "nothing.js"]
)
def test_what_is_no_file_of_the_page_is_not_there(client: TestClient, path: str) -> None:
    answer = client.get(f"/dashboard/{path}")
    assert answer.status_code == 404
    assert "default-src 'none'" in answer.headers["content-security-policy"]


def test_the_wheel_has_every_file_of_the_page(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    builder = WheelBuilder(str(root))
    built = next(iter(builder.build(directory=str(tmp_path), versions=["standard"])))
    with zipfile.ZipFile(built) as wheel:
        names = {name for name in wheel.namelist() if "/web/dashboard/page/" in name}
    packed = {name.split("/page/")[1] for name in names}
    assert packed == {p.relative_to(PAGE).as_posix() for p in PAGE.rglob("*") if p.is_file()}
