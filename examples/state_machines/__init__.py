"""State machines: a payment that can be cancelled at any time, and an operator of brittle machines."""
