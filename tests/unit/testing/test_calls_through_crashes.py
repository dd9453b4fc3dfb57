"""What a test calls happens once, whenever the process dies, whatever the handler is called."""

from __future__ import annotations

from restate_patterns import App, ObjectContext, State, VirtualObject, Workflow, WorkflowContext, handler
from restate_patterns.testing import TestEnvironment, at_every_crash_point


class Counter(VirtualObject):
    """Its handler has the name of that of a workflow, which runs once by itself; this one does not."""

    count = State[int](default=0)

    @handler
    async def run(self, ctx: ObjectContext) -> int:
        self.count.set(ctx, await self.count.get(ctx) + 1)
        return await self.count.get(ctx)


class Once(Workflow):
    """Runs once."""

    @handler
    async def run(self, ctx: WorkflowContext) -> str:
        return ctx.key


@at_every_crash_point(lambda: App([Counter(), Once()]))
async def test_a_handler_named_run(env: TestEnvironment) -> None:
    counter = env.client.object_client(Counter, "a")
    assert [await counter.run() for _ in range(3)] == [1, 2, 3]
    assert await env.client.workflow_client(Once, "w").run() == "w"
