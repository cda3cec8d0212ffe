"""What is true about an order. Pure: no I/O, no clock, no log.

Here belong the words (`model`), what an answer proves (`evidence`), how reports become one
truth (`merge`) and when to ask again (`cadence`). Nothing here knows which venue, database
or process it serves; every time is passed in.
"""
