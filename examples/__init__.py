"""Programs to read, run and copy: each folder is one pattern, each module one noun.

* `examples.sagas.booking`: a trip of a flight, a car and a payment that is booked whole or not at all.
* `examples.sagas.tickets`: seats in a cart that are sold once, or let go after 15 minutes.
* `examples.providers`: the airline, the car rental, the payment provider and the mail service they call.
* `examples.demo`: the booking in three runs, with a crash in one of them (`make demo`).
"""
