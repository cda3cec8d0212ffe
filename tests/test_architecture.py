"""What the tree promises about itself; the layers stand in pyproject.toml."""

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MODULES = sorted((ROOT / "src").rglob("*.py"))
MODULE_LINES = 400
FUNCTION_LINES = 60

# Put together here, so that this file does not contain what it looks for.
FOREIGN_WORDS = [
    "".join(parts).encode()
    for parts in (
        ("..", "/shared"),
        ("/work", "/"),
        ("/root", "/"),
        ("pypi", ".org"),
        ("pythonhosted", ".org"),
        ("npmjs", ".org"),
        ("npmjs", ".com"),
    )
]


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def own_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Count the lines from `def` to the end, without the docstring."""
    lines = (function.end_lineno or function.lineno) - function.lineno + 1
    if ast.get_docstring(function, clean=False) is not None:
        docstring = function.body[0]
        lines -= (docstring.end_lineno or docstring.lineno) - docstring.lineno + 1
    return lines


def test_imports_keep_to_the_layers() -> None:
    lint = subprocess.run(
        [Path(sys.executable).with_name("lint-imports")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert lint.returncode == 0, lint.stdout + lint.stderr


def test_no_module_is_longer_than_its_ceiling() -> None:
    lengths = {named(path): len(path.read_text().splitlines()) for path in MODULES}
    assert {name: lines for name, lines in lengths.items() if lines > MODULE_LINES} == {}


def test_no_function_is_longer_than_its_ceiling() -> None:
    lengths = {
        f"{named(path)}:{node.lineno} {node.name}": own_lines(node)
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert {name: lines for name, lines in lengths.items() if lines > FUNCTION_LINES} == {}


def test_every_module_says_what_belongs_in_it() -> None:
    assert MODULES
    assert [named(p) for p in MODULES if not ast.get_docstring(ast.parse(p.read_text()))] == []


def test_every_folder_of_modules_is_a_package() -> None:
    folders = {path.parent for path in MODULES}
    assert [named(f) for f in folders if not (f / "__init__.py").exists()] == []


def test_no_file_names_a_machine_or_a_registry() -> None:
    # safe.directory: a clone made by another user (CI as root) is still readable.
    git = ["git", "-c", "safe.directory=*", "ls-files", "-z"]
    listing = subprocess.run(
        [*git, "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if listing.returncode != 0:
        pytest.skip("not a git checkout, so nobody knows which files belong to it")
    files = [ROOT / name.decode() for name in listing.stdout.split(b"\0") if name]
    assert ROOT / "pyproject.toml" in files
    found = [
        f"{named(path)}: {word.decode()}"
        for path in files
        if path.is_file()
        for word in FOREIGN_WORDS
        if word in path.read_bytes()
    ]
    assert found == []


def test_an_old_python_can_read_dev_to_its_end() -> None:
    ast.parse((ROOT / "dev").read_text(), feature_version=(3, 7))


def test_the_build_backend_is_the_one_in_the_lock() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    locked = (ROOT / "requirements" / "dev.txt").read_text().split()
    assert [pin for pin in project["build-system"]["requires"] if pin not in locked] == []
