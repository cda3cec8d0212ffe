"""How truth travels: `reconcile` asks what is due, every source feeds `ingest`, `ingest` writes.

Venue, store and clock are reached through ports only. `cases` decides what an absence may
count for, `audit` compares without writing.
"""
