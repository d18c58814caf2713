/** A device whose kernels cannot store 16-bit floats, such as SwiftShader's. */
import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import * as t from "../../src/tensor/mod.ts";

async function open(): Promise<t.Session | undefined> {
  try {
    return await t.lab({ without: ["shader-f16"] });
  } catch {
    return undefined; // the other tests say why
  }
}

const session = await open();
globalThis.addEventListener("unload", () => session?.dispose());

function test(name: string, fn: () => Promise<void>): void {
  Deno.test({ name, ignore: !session, fn });
}

const VALUES = Float16Array.from([1, -2.5, 65504, 6e-8, Infinity, 0.1, -0]);

test("f16 tensors can be read and cast on a device without shader-f16", async () => {
  const x = t.tensor(VALUES), y = t.tensor(VALUES.subarray(0, 6), { shape: [2, 3] });
  assertEquals([...await t.cast(x, "f32").data()], [...VALUES]);
  assertEquals([...await t.cast(t.mul(x, 2), "f32").data()], [...VALUES].map((v) => 2 * v));
  assertEquals([...await t.cast(t.transpose(y), "f32").data()].slice(0, 2), [1, VALUES[3]]);
  assertEquals(await x.data(), VALUES);
  // Rounded all the same.
  assertEquals([...await t.cast(t.cast(t.tensor([0.1, 7e4]), "f16"), "f32").data()], [
    Math.f16round(0.1),
    Infinity,
  ]);
});

test("products, sums and choices of f16 tensors can be formed in f32 without shader-f16", async () => {
  const x = t.tensor(Float16Array.of(1, 2, 3, 0.5), { shape: [2, 2] });
  assertEquals([...await t.sum(t.cast(x, "f32"), { axes: 1 }).data()], [3, 3.5]);
  assertEquals([...await t.topK(x, 1).indices.data()], [1, 0]);
  const leaf = t.cast(x, "f32");
  assertEquals([...await t.matmul(leaf, leaf).data()], [7, 3, 4.5, 6.25]);
});

test("computing f16 without shader-f16 is an error that names the adapter and the remedy", async () => {
  const x = t.tensor(VALUES);
  const results = [t.mul(x, 2), t.sum(x), t.cast(t.tensor([1]), "f16"), t.matmul(x, x)];
  for (const y of results) {
    const { message } = await assertRejects(() => y.data(), Error);
    const name = session!.gpu.adapter.name;
    for (const part of ["f16[", name, "shader-f16", 'cast(x, "f32")']) {
      assertStringIncludes(message, part);
    }
  }
});
