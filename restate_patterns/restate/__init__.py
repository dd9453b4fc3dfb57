"""The same services on a Restate server: an adapter on the official `restate-sdk`.

* `machine`: the SDK's state machine of one attempt, typed. With `endpoint` the only file that imports the SDK.
* `operations`: what a handler asks for (`seam.Operations`), on the machine; `outstanding`: what it waits for.
* `drive`: one attempt from the bytes of its request to its end, one completion at a time.
* `steps`: actions that run in this process, whatever becomes of the attempt that began them.
* `envelope`: how the result of a step is stored; `references`: invocations that are not named by id.
* `endpoint`: the ASGI app; `serving`: it on a port, and how it drains; `manifest`: what the server is told.
"""
