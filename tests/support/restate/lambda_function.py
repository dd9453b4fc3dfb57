"""A function as people deploy it: what AWS Lambda calls has a name in a module."""

from __future__ import annotations

from restate_patterns import App, Restate
from tests.support.restate.lambda_shop import Order, Till

app = App([Till(), Order()])
function = Restate().lambda_handler(app)
