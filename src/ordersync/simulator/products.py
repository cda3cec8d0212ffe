"""The few products that this exchange trades, with the price at which market orders fill."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """A market: what is traded for what, at which price and in which steps."""

    product_id: str
    price: Decimal
    base_increment: str = "0.00000001"
    quote_increment: str = "0.01"

    @property
    def base(self) -> str:
        """The currency that is bought and sold."""
        return self.product_id.partition("-")[0]

    @property
    def quote(self) -> str:
        """The currency that it is paid with."""
        return self.product_id.partition("-")[2]


PRODUCTS = {
    product.product_id: product
    for product in (
        Product(product_id="BTC-USD", price=Decimal(64000)),
        Product(product_id="ETH-USD", price=Decimal(3200)),
        Product(product_id="SOL-USD", price=Decimal(150)),
        Product(product_id="DOGE-USD", price=Decimal("0.12"), quote_increment="0.00001"),
        Product(product_id="BTC-USDC", price=Decimal(64010)),
        Product(product_id="ETH-BTC", price=Decimal("0.05"), quote_increment="0.00001"),
    )
}


def price_of(product_id: str) -> Decimal:
    """Look up the price of a product; 100 for one that only a test knows."""
    product = PRODUCTS.get(product_id)
    return Decimal(100) if product is None else product.price
