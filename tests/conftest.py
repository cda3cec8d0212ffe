"""What every test may ask for."""

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
