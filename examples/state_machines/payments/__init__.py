"""Payments by token: made once, cancelled before, during or after, forgotten after a day.

    python -m examples.state_machines.payments

Then pay and take it back:

    curl -X POST localhost:8080/PaymentProcessor/some-string-id/makePayment -H 'content-type: application/json' \
     -d '{  "accountId": "abc", "amountCents": 100 }'
    curl -X POST localhost:8080/PaymentProcessor/some-string-id/cancelPayment
    curl localhost:8080/PaymentProcessor/some-string-id/current
    curl localhost:8080/Account/abc/balance

Read `processor` first; `account` is where the money is.
"""

from __future__ import annotations

from examples.state_machines.payments.account import Account
from examples.state_machines.payments.processor import PaymentProcessor
from restate_patterns import App

OPENING_CENTS = 100_000

app = App([PaymentProcessor(), Account(opening_cents=OPENING_CENTS)], name="payments")
