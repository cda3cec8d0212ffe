"""Mistakes planted on purpose: `make mutants` sees whether the simulation finds each of them.

A green run proves nothing until it turns red for every way of being wrong that we can think of.
"""
