"""The dashboard: one page that a browser reads, and nothing but the API behind it.

`pages.py` serves it. `page/` is what the browser runs, as it stands there: no build, no foreign
address. `page/vendor/` holds the published builds of others, each with its licence and hash.
"""
