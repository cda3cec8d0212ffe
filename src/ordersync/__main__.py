"""`python -m ordersync` is the command line."""

from ordersync.cli import main

main()
