import { assert, assertEquals, assertStrictEquals, assertStringIncludes } from "@std/assert";
import * as t from "../../src/tensor/mod.ts";
import { assertNear, failure, session, test } from "./harness.ts";

const host = (data: number[], ...shape: number[]): t.HostTensor => ({
  data: Float32Array.from(data),
  shape: shape.length > 0 ? shape : [data.length],
});

// First in the file: no garbage of other tests is collected meanwhile.
test("dispose() of a compiled function gives its memory back", async () => {
  const { live, buffers } = session().memory();
  const f = t.compile(({ x }: { x: t.Tensor }) => ({ y: t.softmax(t.matmul(x, x)) }));
  await (await f({ x: host(new Array(16).fill(1), 4, 4) })).y.data();
  await (await f({ x: host(new Array(36).fill(1), 6, 6) })).y.data();
  f.dispose();
  assertEquals([session().memory().live, session().memory().buffers], [live, buffers]);
  // It can still be called, as if it were new.
  assertNear(
    await (await f({ x: host([0, 0, 0, 0], 2, 2) })).y.data(),
    [0.5, 0.5, 0.5, 0.5],
    "again",
  );
  f.dispose();
  assertEquals(session().memory().buffers, buffers);
});

test("compile() traces once for each shape and replays afterwards", async () => {
  let traced = 0;
  const f = t.compile(({ x }: { x: t.Tensor }) => {
    traced++;
    return { y: t.mul(x, 2), sum: t.sum(x) };
  });
  for (const values of [[1, 2], [3, 4], [5, 6]]) {
    const { y, sum } = await f({ x: host(values) });
    assertEquals([...await y.data()], values.map((v) => 2 * v));
    assertEquals(await sum.item(), values[0] + values[1]);
  }
  assertEquals(traced, 1);
  assertEquals([...await (await f({ x: host([1, 2, 3]) })).y.data()], [2, 4, 6]);
  await f({ x: { data: new Float32Array(2), shape: [2, 1] } });
  assertEquals(traced, 3);
  assertEquals(await (await f({ x: host([7, 8]) })).sum.item(), 15);
  assertEquals([traced, f.dispatches], [3, 2]);
  f.dispose();
});

test("a replay makes no buffer, no bind group and no pipeline", async () => {
  const w = t.tensor(new t.Random(1).normals(64), { shape: [8, 8] });
  const f = t.compile(({ x }: { x: t.Tensor }) => {
    const loss = t.mean(t.square(t.gelu(t.matmul(x, w))));
    const [dw] = t.gradients(loss, [w]);
    return { loss, step: t.makeEffect("assign", [w, t.sub(w, t.mul(dw, 0.1))], {}) };
  });
  const x = host(new Array(64).fill(0).map((_, i) => Math.sin(i)), 8, 8);
  await (await f({ x })).loss.item();
  const { buffers, bindGroups, pipelines } = session().gpu.counters;
  const losses: number[] = [];
  for (let i = 0; i < 10; i++) losses.push(await (await f({ x })).loss.item());
  const after = session().gpu.counters;
  assertEquals([after.buffers, after.bindGroups, after.pipelines], [
    buffers,
    bindGroups,
    pipelines,
  ]);
  for (let i = 1; i < 10; i++) assert(losses[i] < losses[i - 1], `loss ${losses}`);
  f.dispose();
});

test("parameters that a function captures are read where they are", async () => {
  const p = t.tensor([1, 2, 3]);
  let traced = 0;
  const f = t.compile(({ x }: { x: t.Tensor }) => {
    traced++;
    return { y: t.mul(p, x), p };
  });
  const x = host([1, 1, 1]);
  const first = await f({ x });
  assertStrictEquals(first.p, p);
  assertEquals([...await first.y.data()], [1, 2, 3]);
  t.setValues(p, [4, 5, 6]);
  assertEquals([...await (await f({ x })).y.data()], [4, 5, 6]);
  assertEquals(traced, 1);
  // In another place of memory, the plan is made anew.
  const { flat } = t.flattenInPlace([p]);
  assertEquals([...await (await f({ x })).y.data()], [4, 5, 6]);
  t.setValues(flat, [7, 8, 9, ...new Array(61).fill(0)]);
  assertEquals([...await (await f({ x })).y.data()], [7, 8, 9]);
  assertEquals(traced, 2);
  f.dispose();
});

test("updates in place happen after everything that reads the old values", async () => {
  const p = t.tensor([1, 2]), q = t.tensor([10, 20]);
  const f = t.compile(({ x }: { x: t.Tensor }) => ({
    step: t.makeEffect("assign", [p, t.add(p, x)], {}),
    other: t.makeEffect("assign", [q, t.add(q, p)], {}),
    before: t.mul(p, 1),
  }));
  for (let i = 0; i < 3; i++) {
    const { before } = await f({ x: host([1, 1]) });
    assertEquals([...await before.data()], [1 + i, 2 + i]);
  }
  assertEquals([...await p.data()], [4, 5]);
  assertEquals([...await q.data()], [10 + 1 + 2 + 3, 20 + 2 + 3 + 4]);
  f.dispose();
});

test("results belong to the plan: a read before the next run keeps this run's values", async () => {
  const f = t.compile(({ x }: { x: t.Tensor }) => ({
    y: t.add(x, 1),
    list: [t.neg(x), t.mul(x, x)],
  }));
  const first = await f({ x: host([1, 2]) });
  const early = first.y.data();
  const second = await f({ x: host([5, 6]) });
  assertStrictEquals(first.y, second.y);
  assertEquals([...await early], [2, 3]);
  assertEquals([...await second.y.data()], [6, 7]);
  assertEquals(await Promise.all(second.list.map(async (v) => [...await v.data()])), [[-5, -6], [
    25,
    36,
  ]]);
  f.dispose();
});

test("integers, truth values and empty inputs go into compiled functions", async () => {
  const f = t.compile(({ ids, keep, none }: { ids: t.Tensor; keep: t.Tensor; none: t.Tensor }) => ({
    y: t.where(keep, t.cast(ids, "f32"), -1),
    none: t.mul(none, 2),
    total: t.sum(none),
  }));
  const { y, none, total } = await f({
    ids: { data: new Int32Array([3, 4]), shape: [2] },
    keep: { data: new Uint32Array([0, 1]), shape: [2], dtype: "bool" },
    none: { data: new Float32Array(0), shape: [0, 3] },
  });
  assertEquals([[...await y.data()], none.shape, await total.item()], [[-1, 4], [0, 3], 0]);
  f.dispose();
});

test("the same result may be asked for twice, and an input may be a result", async () => {
  const f = t.compile(({ x }: { x: t.Tensor }) => {
    const y = t.exp(x);
    return { y, again: y, x };
  });
  const { y, again, x } = await f({ x: host([0, 1]) });
  assertNear(await y.data(), [1, Math.E], "y");
  assertNear(await again.data(), [1, Math.E], "again");
  assertEquals([...await x.data()], [0, 1]);
  f.dispose();
});

test("calls that overlap each get their own values", async () => {
  const f = t.compile(({ x }: { x: t.Tensor }) => ({ y: t.mul(x, 3) }));
  const values = await Promise.all([1, 2, 3].map(async (v) => {
    const { y } = await f({ x: host([v]) });
    return await y.item();
  }));
  assertEquals(values, [3, 6, 9]);
  f.dispose();
});

test("compile() says what is wrong with inputs", async () => {
  const f = t.compile(({ x }: { x: t.Tensor }) => ({ y: t.neg(x) }));
  const size = await failure(() => f({ x: { data: new Float32Array(3), shape: [2, 2] } }));
  assert(size instanceof RangeError);
  assertStringIncludes(size.message, `input "x" has 3 values for shape [2,2]`);
  const whole = await failure(() =>
    f({ x: { data: new Float32Array([1.5]), shape: [1], dtype: "i32" } })
  );
  assertStringIncludes(whole.message, "value 1.5 at position 0 is not a i32");
  const wrong = t.compile(() => ({ y: 5 as unknown as t.Tensor }));
  assertStringIncludes((await failure(() => wrong({}))).message, `result "y" is no tensor`);
  f.dispose();
});

test("profile() names every kernel, where the device has clocks", async () => {
  if (!session().gpu.adapter.timestamps) return;
  const w = t.tensor(new Float32Array(16), { shape: [4, 4], name: "weight" });
  const f = t.compile(({ x }: { x: t.Tensor }) => ({ y: t.softmax(t.matmul(x, w)) }));
  const times = await f.profile({ x: host(new Array(16).fill(1), 4, 4) });
  assertEquals(times.length, f.dispatches);
  assertStringIncludes(times[0].label, "matmul");
  assert(times.every(({ ms }) => ms >= 0));
  f.dispose();
});
