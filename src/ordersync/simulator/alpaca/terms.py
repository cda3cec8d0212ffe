"""What an order asks for: reading the body of POST /v2/orders, and writing such bodies.

The rules about types, durations, sizes and prices live here; where a body breaks one this says
so in the broker's shape.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING

from ordersync.simulator.alpaca.answers import malformed, unprocessable
from ordersync.simulator.alpaca.assets import ASSETS, Asset

if TYPE_CHECKING:
    from collections.abc import Mapping

TYPES = frozenset(("market", "limit", "stop", "stop_limit", "trailing_stop"))
DURATIONS = frozenset(("day", "gtc", "opg", "cls", "ioc", "fok"))
CLASSES = frozenset(("", "simple", "bracket", "oco", "oto", "mleg"))
_OPPOSITE = {"buy": "sell", "sell": "buy"}
_NEEDED = {
    "limit": ("limit_price",),
    "stop": ("stop_price",),
    "stop_limit": ("limit_price", "stop_price"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What is wanted. Of `qty` and `notional` exactly one is set. A spread has no asset."""

    asset: Asset | None
    side: str = ""
    type: str = ""
    time_in_force: str = "day"
    qty: Decimal | None = None
    notional: Decimal | None = None
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    trail_price: Decimal | None = None
    trail_percent: Decimal | None = None
    extended_hours: bool = False
    order_class: str = ""
    position_intent: str | None = None
    ratio_qty: Decimal | None = None
    legs: tuple[Terms, ...] = ()

    @property
    def price(self) -> Decimal:
        """What a unit trades at, where its life says nothing else."""
        if self.limit_price is not None:
            return self.limit_price
        return self.stop_price or (self.asset.price if self.asset else Decimal(1))

    @property
    def cost(self) -> Decimal:
        """What has to be there to buy it."""
        return self.notional or (self.qty or Decimal(0)) * self.price


def read_terms(body: Mapping[str, object]) -> Terms:
    """Read what a body asks for. Raises RefusedError."""
    order_class = _word(body, "order_class", CLASSES) or ""
    duration = _word(body, "time_in_force", DURATIONS)
    if duration is None:
        raise malformed("time_in_force is required")
    kind = _word(body, "type", TYPES)
    if kind is None:
        raise malformed("type is required")
    terms = Terms(
        asset=None,
        type=kind,
        time_in_force=duration,
        qty=_positive(body, "qty"),
        notional=_positive(body, "notional"),
        limit_price=_positive(body, "limit_price"),
        stop_price=_positive(body, "stop_price"),
        trail_price=_positive(body, "trail_price"),
        trail_percent=_positive(body, "trail_percent"),
        extended_hours=body.get("extended_hours") is True,
        order_class=order_class,
    )
    _check_sizes(terms)
    _check_prices(terms)
    if order_class == "mleg":
        return replace(terms, legs=_spread_legs(body, terms))
    terms = replace(
        terms,
        asset=_asset(body.get("symbol")),
        side=_side(body),
        position_intent=_text(body, "position_intent"),
    )
    _check_duration(terms)
    return replace(terms, legs=_conditional_legs(body, terms))


def _check_sizes(terms: Terms) -> None:
    if (terms.qty is None) == (terms.notional is None):
        raise malformed("qty or notional is required, and only one of them")
    if terms.notional is not None and (terms.type, terms.time_in_force) not in {
        ("market", "day"),
        ("limit", "day"),
        ("market", "gtc"),
    }:
        raise unprocessable("notional orders must be day orders")


def _check_prices(terms: Terms) -> None:
    for name in _NEEDED.get(terms.type, ()):
        if getattr(terms, name) is None:
            raise malformed(f"{terms.type} orders require {name.replace('_', ' ')}")
    if terms.type == "market" and (terms.limit_price or terms.stop_price):
        raise unprocessable("market orders require no limit or stop price")
    trails = (terms.trail_price is not None) + (terms.trail_percent is not None)
    if trails != (terms.type == "trailing_stop"):
        raise malformed("trailing_stop orders require one of trail_price and trail_percent")
    if terms.extended_hours and (
        terms.type != "limit" or terms.time_in_force not in {"day", "gtc"}
    ):
        raise unprocessable("extended hours order must be DAY or GTC limit orders")


def _check_duration(terms: Terms) -> None:
    asset_class = terms.asset.asset_class if terms.asset else ""
    if asset_class == "crypto" and terms.time_in_force not in {"gtc", "ioc"}:
        raise unprocessable("invalid crypto time_in_force")
    if asset_class == "us_option" and terms.time_in_force not in {"day", "gtc"}:
        raise unprocessable("invalid option time_in_force")


def _conditional_legs(body: Mapping[str, object], terms: Terms) -> tuple[Terms, ...]:
    """Read the legs of a bracket, an OCO or an OTO order."""
    if terms.order_class in {"", "simple"}:
        return ()
    if terms.notional is not None or terms.time_in_force not in {"day", "gtc"}:
        raise unprocessable(f"{terms.order_class} orders must be day or gtc, and have a qty")
    profit, loss = (_leg(body, name, terms) for name in ("take_profit", "stop_loss"))
    if terms.order_class == "oto":
        if (profit is None) == (loss is None):
            raise unprocessable("oto orders require either take_profit or stop_loss")
    elif profit is None or loss is None:
        raise unprocessable(f"{terms.order_class} orders require take_profit and stop_loss")
    if terms.order_class == "oco":
        # The order itself takes the profit; the stop waits beside it.
        if terms.type != "limit":
            raise unprocessable("oco orders must be limit orders")
        return () if loss is None else (replace(loss, side=terms.side),)
    return tuple(leg for leg in (profit, loss) if leg is not None)


def _leg(body: Mapping[str, object], name: str, terms: Terms) -> Terms | None:
    wish = body.get(name)
    if wish is None:
        return None
    if not isinstance(wish, dict):
        raise malformed(f"{name} must be an object")
    limit, stop = _positive(wish, "limit_price"), _positive(wish, "stop_price")
    if name == "take_profit" and limit is None:
        raise malformed("take_profit.limit_price is required")
    if name == "stop_loss" and stop is None:
        raise malformed("stop_loss.stop_price is required")
    kind = "limit" if stop is None else "stop_limit" if limit is not None else "stop"
    return Terms(
        asset=terms.asset,
        side=_OPPOSITE[terms.side],
        type=kind,
        time_in_force=terms.time_in_force,
        qty=terms.qty,
        limit_price=limit,
        stop_price=stop,
        order_class=terms.order_class,
    )


def _spread_legs(body: Mapping[str, object], terms: Terms) -> tuple[Terms, ...]:
    wishes = body.get("legs")
    if not isinstance(wishes, list) or not 2 <= len(wishes) <= 4:  # noqa: PLR2004 - as documented
        raise malformed("mleg orders require two to four legs")
    legs = []
    for wish in wishes:
        if not isinstance(wish, dict):
            raise malformed("a leg must be an object")
        ratio = _positive(wish, "ratio_qty")
        if ratio is None:
            raise malformed("ratio_qty is required")
        intent = _text(wish, "position_intent")
        side = _side(wish) if intent is None else intent.partition("_")[0]
        legs.append(
            Terms(
                asset=_asset(wish.get("symbol")),
                side=side,
                time_in_force=terms.time_in_force,
                qty=(terms.qty or Decimal(0)) * ratio,
                order_class="mleg",
                position_intent=intent,
                ratio_qty=ratio,
            )
        )
    return tuple(legs)


def _asset(symbol: object) -> Asset:
    if not symbol:
        raise malformed("symbol is required")
    asset = ASSETS.get(str(symbol)) or ASSETS.get(str(symbol).replace("USD", "/USD"))
    if asset is None:
        raise unprocessable(f'asset "{symbol}" not found')
    return asset


def _side(body: Mapping[str, object]) -> str:
    side = _word(body, "side", frozenset(_OPPOSITE))
    if side is None:
        raise malformed("side is required")
    return side


def _word(body: Mapping[str, object], name: str, allowed: frozenset[str]) -> str | None:
    word = body.get(name)
    if word is None:
        return None
    if not isinstance(word, str) or word not in allowed:
        raise malformed(f"invalid {name}")
    return word


def _text(body: Mapping[str, object], name: str) -> str | None:
    text = body.get(name)
    return text if isinstance(text, str) else None


def _positive(body: Mapping[str, object], name: str) -> Decimal | None:
    """Read a number, which clients send as a string or bare."""
    value = body.get(name)
    if value is None or value == "":
        return None
    try:
        number = Decimal(str(value)) if not isinstance(value, bool) else Decimal(-1)
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite():
        raise malformed(f"{name} is not a number")
    if number <= 0:
        raise unprocessable(f"{name} must be > 0")
    return number


# Writing bodies


def market(
    symbol: str,
    side: str,
    qty: str | None = None,
    *,
    notional: str | None = None,
    time_in_force: str = "day",
) -> dict[str, object]:
    """Write a market order, for a quantity or for an amount of money."""
    size = {"qty": qty} if notional is None else {"notional": notional}
    return {
        "symbol": symbol,
        "side": side,
        "type": "market",
        "time_in_force": time_in_force,
        **size,
    }


def limit(
    symbol: str, side: str, qty: str, limit_price: str, *, time_in_force: str = "gtc"
) -> dict[str, object]:
    """Write a limit order."""
    return {
        "symbol": symbol,
        "side": side,
        "type": "limit",
        "time_in_force": time_in_force,
        "qty": qty,
        "limit_price": limit_price,
    }


def bracket(entry: Mapping[str, object], *, take_profit: str, stop_loss: str) -> dict[str, object]:
    """Write an order that, once filled, is followed by a profit taker and a stop."""
    return {
        **entry,
        "order_class": "bracket",
        "take_profit": {"limit_price": take_profit},
        "stop_loss": {"stop_price": stop_loss},
    }


def oco(symbol: str, side: str, qty: str, *, take_profit: str, stop_loss: str) -> dict[str, object]:
    """Write a profit taker with a stop beside it, of which one cancels the other."""
    both = bracket(
        limit(symbol, side, qty, take_profit), take_profit=take_profit, stop_loss=stop_loss
    )
    return {**both, "order_class": "oco"}


def oto(entry: Mapping[str, object], *, stop_loss: str) -> dict[str, object]:
    """Write an order that, once filled, is followed by a stop."""
    return {**entry, "order_class": "oto", "stop_loss": {"stop_price": stop_loss}}


def spread(qty: str, limit_price: str, *legs: tuple[str, str, str]) -> dict[str, object]:
    """Write a multi-leg order; each leg is (symbol, ratio, position intent)."""
    return {
        "order_class": "mleg",
        "type": "limit",
        "time_in_force": "day",
        "qty": qty,
        "limit_price": limit_price,
        "legs": [
            {"symbol": symbol, "ratio_qty": ratio, "position_intent": intent}
            for symbol, ratio, intent in legs
        ],
    }
