"""What ordersync costs, each number beside a floor taken in the same run: `make bench`.

A floor is the least that the same work could cost: the same statements in bare sqlite3, the
same answer decoded by itself, a process that only imports. Absolute figures belong to one
machine and one hour; ratios travel. Nothing here fails on a figure: it is printed, with the
goal beside it and whether it was met.

`measure` takes and prints figures, `scene` makes the tables and answers that are measured with,
`exchange` is the simulated exchange in a process of its own; every other module is one topic.
"""
