import { assertEquals, assertThrows } from "@std/assert";
import { forwardFlops, publishedModel } from "../../src/models/mod.ts";
import { dense, moiie } from "../../src/moe/mod.ts";
import { thimble } from "./shared.ts";

const of = (config: Parameters<typeof forwardFlops>[0], context?: number) => {
  const { rows, ...sums } = forwardFlops(config, { context });
  return { ...sums, parts: Object.fromEntries(rows.map(({ part, flops }) => [part, flops])) };
};

Deno.test("forwardFlops() counts two operations for each weight that a token meets", () => {
  const config = thimble({ ffn: moiie(), placement: "interleaved" });
  const { layers, width: d, hidden, vocabulary } = config.language;
  const sparse = Math.floor(layers / 2), ffn = 3 * d * hidden;
  const { token, parts } = of(config, 10);
  assertEquals(parts["experts (moiie)"], sparse * 2 * 2 * ffn);
  assertEquals(parts.routers, sparse * 2 * 3 * d);
  assertEquals(parts["attention between tokens"], layers * 2 * 2 * 10 * d);
  assertEquals(
    token,
    2 * (layers * 4 * d * d + (layers - sparse) * ffn + sparse * (2 * ffn + 3 * d) +
          vocabulary * d) + layers * 4 * 10 * d,
  );
});

Deno.test("forwardFlops() counts a picture by its patches", () => {
  const { vision: v, language: { width: d } } = thimble({ ffn: dense() });
  const patches = (v.imageSize / v.patch) ** 2, w = v.width;
  const block = 2 * (4 * w * w + 2 * w * v.hidden) + 4 * w * patches;
  assertEquals(
    of(thimble({ ffn: dense() })).picture,
    [
      2 * 3 * v.patch * v.patch * w,
      v.layers * block,
      2 * (w * d + d * d),
    ].reduce((sum, n) => sum + patches * n, 0),
  );
});

Deno.test("forwardFlops() is twice the active parameters but for look-ups and the other side", () => {
  // Phi-3-mini with four experts: 5,029,186,560 active in the language model, less embedding and norms.
  const { token } = of(publishedModel("phi-3-mini", moiie()), 1);
  assertEquals(token, 2 * (5_029_186_560 - 98_500_608 - 199_680) + 32 * 4 * 3072);
});

Deno.test("forwardFlops() refuses a context without tokens", () => {
  assertThrows(() => forwardFlops(thimble({}), { context: 0 }), RangeError, "context of 0");
});
