"""The lists of docs/reference, made from the code: `./dev reference` writes them into their pages.

What an entry says is said once, beside what it is about: in the docstring below a field, in the
comment behind a member, in a metric's help. Prose and examples stay in the pages.
"""
