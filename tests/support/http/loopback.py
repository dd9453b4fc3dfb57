"""Requests to servers on loopback, without this machine's certificates: to load them takes longer than a request."""

from __future__ import annotations

from functools import partial

import httpx

get = partial(httpx.get, verify=False, trust_env=False)
patch = partial(httpx.patch, verify=False, trust_env=False)
post = partial(httpx.post, verify=False, trust_env=False)
client = partial(httpx.Client, verify=False, trust_env=False)
async_client = partial(httpx.AsyncClient, verify=False, trust_env=False)
