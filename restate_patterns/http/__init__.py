"""The ingress and admin API over an engine, as ASGI apps and a server for them."""
