"""The official standardwebhooks, unmodified: signs bodies of its own and judges ours.

Usage: webhooks_sdk.py SECRET; on stdin a JSON list of {id, at, body, signature}. Prints a JSON list
of {signs, believes}: what it would have signed, and whether it takes the signature for genuine.
"""

# ruff: noqa: ANN401, T201 - its types are not here to be checked, and stdout is its answer

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from typing import Any

from standardwebhooks import (  # type: ignore[import-not-found,unused-ignore]
    Webhook,
    WebhookVerificationError,
)


def judged(secret: Any, one: dict[str, Any]) -> dict[str, Any]:
    headers = {
        "webhook-id": one["id"],
        "webhook-timestamp": str(one["at"]),
        "webhook-signature": one["signature"],
    }
    try:
        secret.verify(one["body"], headers, json_parse=False)
        believes = True
    except WebhookVerificationError:
        believes = False
    at = datetime.fromtimestamp(one["at"], UTC)
    return {"signs": secret.sign(one["id"], at, one["body"]), "believes": believes}


def main() -> None:
    secret = Webhook(sys.argv[1])
    print(json.dumps([judged(secret, one) for one in json.load(sys.stdin)]))


main()
