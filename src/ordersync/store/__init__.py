"""Where the truth is written: the user's own table, and ours beside it.

`words` and `columns` say how their words and cells are read and written, `mapping` binds them
to a table that exists, `projection` says what a true row looks like; none of these does I/O.
`reflection` looks at a database, `guess` proposes a mapping for `init`, `schema` holds our own
tables. `table_store` is the store itself: `lookup` reads, `advance` writes, `views` shows. What
differs between makes of database is behind `database`, spelled by `spelling`, and done in `makes`.
"""
