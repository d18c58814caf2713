/** What a session does when its device is lost, and what is left then. */
import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import * as t from "../../src/tensor/mod.ts";
import { test } from "./harness.ts";

test("everything under way is rejected when the device is lost", async () => {
  using session = await t.lab();
  const weights = t.tensor(new Float32Array(64 * 64).fill(0.01), { shape: [64, 64] });
  const step = t.compile(({ x }: { x: t.Tensor }) => {
    let y = x;
    for (let i = 0; i < 20; i++) y = t.add(t.matmul(y, weights), x);
    return { loss: t.sum(y) };
  });
  const inputs = { x: { data: new Float32Array(64 * 64), shape: [64, 64] } };
  const { loss } = await step(inputs);
  assertEquals(await loss.item(), 0);

  const kept = t.tensor([1, 2, 3]);
  const running = [0, 1, 2].map(() => step(inputs));
  await running[0];
  const waits = [
    ...running.slice(1),
    t.evaluate(t.exp(weights)),
    loss.item(),
    weights.data(),
    t.matmul(weights, weights).data(),
  ];
  session.gpu.device.destroy();
  const ends = await Promise.allSettled(waits);
  const rejected = ends.filter((end) => end.status === "rejected");
  // A call that only submits may have come before the loss; whoever waits for values gets none.
  assertEquals(ends.slice(-3).map(({ status }) => status), Array(3).fill("rejected"));
  for (const { reason } of rejected) {
    assertStringIncludes(reason.message, "The GPU device was lost");
    assertStringIncludes(reason.message, "lab()");
  }
  await assertRejects(() => step(inputs), Error, "The GPU device was lost");

  // Values that were never on the device are still there, for the next session too.
  assertEquals([...await kept.data()], [1, 2, 3]);
  using next = await t.lab();
  assertEquals([...await t.add(kept, 1).data()], [2, 3, 4]);
  assertEquals(next.gpu.memory().owners.tensor.bytes > 0, true);
  // Giving back what the lost device held is no error.
  step.dispose();
  weights.dispose();
});
