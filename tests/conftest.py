"""What every test may ask for."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

import pytest
import structlog
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.servers.fixtures import (
    common_folder,
    mariadb,
    own_server,
    pgbouncer,
    postgres,
    postgres15,
    postgres16,
    postgres18,
)

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

__all__ = [
    "common_folder",
    "mariadb",
    "own_server",
    "pgbouncer",
    "postgres",
    "postgres15",
    "postgres16",
    "postgres18",
]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """A test that meets its time limit fails, also where somebody swallowed the interruption."""
    marker = item.get_closest_marker("timeout")
    limit = float(marker.args[0] if marker else item.config.getini("timeout"))
    began = monotonic()
    result = yield
    if monotonic() - began > 0.9 * limit:  # which began with the fixtures
        pytest.fail(f"it passed, but only at its limit of {limit:.0f} s: something in it hangs")
    return result


@pytest.fixture(autouse=True)
def _own_log() -> Iterator[None]:
    """A command that a test runs here sets up the log on a stream that is closed afterwards."""
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def referees() -> Path:
    """The Python that has the official clients."""
    root = Path(__file__).parents[1]
    named = os.environ.get("ORDERSYNC_REFEREES")
    python = Path(named) if named else root / ".venv-referees" / "bin" / "python"
    if not python.exists():
        missing = f"NO REFEREES: {python} does not exist. `./dev referees` makes it."
        if "referees" in os.environ.get("ORDERSYNC_DEMAND", ""):
            pytest.fail(missing)
        pytest.skip(missing)
    return python


@pytest.fixture(autouse=True, scope="session")
def _one_certificate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Trust one certificate: to load all of the machine's takes 20 ms for each connection."""
    file = tmp_path_factory.mktemp("trusted") / "one.pem"
    file.write_bytes(nobodys_certificate())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(file))
        patch.setenv("SSL_CERT_DIR", str(file.parent))
        yield


def nobodys_certificate() -> bytes:
    """A certificate whose key nobody keeps, as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "nobody")])
    start = datetime(2020, 1, 1, tzinfo=UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=36_500))
        .sign(key, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM)
