import { assert, assertEquals, assertStrictEquals } from "@std/assert";
import { constant, normal, parameterCount, parameters } from "../../src/nn/mod.ts";
import { Random, tensor } from "../../src/tensor/mod.ts";
import { read } from "./shared.ts";

Deno.test("parameters() lists the tensors of a tree by path in the order of its keys", () => {
  const a = tensor([1, 2]), b = tensor([[3]]), c = tensor([4]);
  const tree = { list: [{ weight: a }, { weight: b, heads: 4 }], name: "x", last: c, none: null };
  const found = parameters(tree);
  assertEquals([...found.keys()], ["list.0.weight", "list.1.weight", "last"]);
  assertStrictEquals(found.get("list.1.weight"), b);
  assertEquals([...parameters(tree, "model").keys()][0], "model.list.0.weight");
  assertEquals(parameterCount(tree), 4);
});

Deno.test("parameters() passes over tensors of whole numbers, typed arrays and settings", () => {
  const tree = { ids: tensor(new Int32Array([1])), raw: new Float32Array(3), table: { k: [0, 1] } };
  assertEquals(parameters(tree).size, 0);
});

Deno.test("parameters() names tensors by path for error messages and keeps names given before", () => {
  const a = tensor([1]), b = tensor([1], { name: "mine" });
  parameters({ x: { a, b } });
  assertEquals([a.name, b.name], ["x.a", "mine"]);
});

Deno.test("normal() draws with the given standard deviation and constant() repeats a value", async () => {
  const [values, ones] = await read(normal(new Random(1), [50, 40], 0.5), constant([2, 3], 1.5));
  const mean = values.reduce((a, b) => a + b) / values.length;
  const deviation = Math.sqrt(values.reduce((s, v) => s + (v - mean) ** 2, 0) / values.length);
  // Of 2000 draws both are off by about 1/√2000 = 2 %; 8 % is never reached.
  assert(Math.abs(mean) < 0.04 && Math.abs(deviation - 0.5) < 0.04, `${mean}, ${deviation}`);
  assertEquals(ones, new Array(6).fill(1.5));
});
