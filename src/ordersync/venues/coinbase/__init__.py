"""Coinbase Advanced Trade: `key` signs, `parse` reads its wire format, `venue` asks.

Wire facts: the API reference for Advanced Trade (REST, `/api/v3/brokerage`), the official
Python client, and what other clients observed; each is named beside the code that minds it.
"""
