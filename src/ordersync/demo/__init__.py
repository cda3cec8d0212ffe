"""The demo: a careless bot on a simulated exchange, and its table coming true.

`scene` sets up the exchange and the table that the bot left behind, `careless_bot` is the bot
(a stranger: it imports nothing of ours), `stage` runs ordersync on it and shows what happens.
"""
