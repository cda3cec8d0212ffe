"""Faults with real processes: ordersync, PostgreSQL and PgBouncer die in the middle of updates.

`make crash` plays rounds; `tests/crash` plays a few of them, and single scenes. Never installed.
"""
