"""Alpaca's Trading API v2: `key` opens an account, `parse` reads its wire format, `venue` asks.

`stream` hears `trade_updates`. Wire facts: Alpaca's OpenAPI description of the Trading API and
its pages on streaming, its own clients, and what other clients observed; each is named beside
the code that minds it.
"""
