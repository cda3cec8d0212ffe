"""Who is told, and of what: `causes` are grouped into `messages`, which `channels` carry.

Nothing here holds up an order, and no channel another.
"""
