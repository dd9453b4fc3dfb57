"""Sagas: several systems change together, or what was changed is undone.

* `booking`: a trip of a flight, a car and a payment; compensations in reverse order.
* `tickets`: a cart of seats that are sold once, or let go when their time is over.
* `settings`, `remote`, `payments`: what both share to reach the providers.
"""
