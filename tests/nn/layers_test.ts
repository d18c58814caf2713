import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import {
  applyAttention,
  applyLinear,
  applyMlp,
  applyNorm,
  makeAttention,
  makeLinear,
  makeMlp,
  makeNorm,
} from "../../src/nn/mod.ts";
import { cos, Random, reshape, sin, tensor } from "../../src/tensor/mod.ts";
import {
  erf,
  referenceAttention,
  referenceGelu,
  referenceLinear,
  referenceNorm,
  rowsOf,
} from "./reference.ts";
import { assertClose, read } from "./shared.ts";

const random = () => new Random(11, "layers");
/** A few rounding errors of f32. */
const TOLERANCE = 1e-6;

function input(shape: number[]) {
  return tensor(random().fork("x").normals(shape.reduce((a, b) => a * b)), { shape });
}

/** Random in place of the ones and zeros that layers start with. */
function shaken(size: number, name: string) {
  return tensor(random().fork(name).normals(size, 0.5, 1));
}

Deno.test("erf() of the loops has the values of the tables", () => {
  assertClose([erf(0.5), erf(1), erf(-2), erf(4)], [
    0.5204998778130465,
    0.8427007929497149,
    -0.9953222650189527,
    0.9999999845827421,
  ], 1e-14);
});

Deno.test("applyLinear() equals a float64 loop with and without bias", async () => {
  const x = input([2, 3, 5]);
  for (const bias of [false, true]) {
    const layer = makeLinear(random(), 5, 7, { bias });
    assertEquals(layer.bias?.shape, bias ? [7] : undefined);
    if (bias) layer.bias = shaken(7, "bias");
    const [y, xs, w, b] = await read(applyLinear(layer, x), x, layer.weight, layer.bias ?? x);
    const want = rowsOf(xs, 5).flatMap((row) => referenceLinear(row, w, bias ? b : undefined));
    assertClose(y, want, TOLERANCE);
  }
});

Deno.test("applyNorm() is a layer norm with bias and an RMS norm without", async () => {
  const x = input([4, 6]);
  for (const bias of [false, true]) {
    const norm = makeNorm(6, { bias });
    assertEquals((await read(norm.weight))[0], [1, 1, 1, 1, 1, 1]);
    norm.weight = shaken(6, "weight");
    if (bias) norm.bias = shaken(6, "bias");
    const [y, xs, w, b] = await read(applyNorm(norm, x, 1e-3), x, norm.weight, norm.bias ?? x);
    const want = rowsOf(xs, 6).flatMap((row) => referenceNorm(row, w, bias ? b : undefined, 1e-3));
    assertClose(y, want, TOLERANCE);
  }
});

Deno.test("applyMlp() equals a float64 loop", async () => {
  const mlp = makeMlp(random(), 5, 9, 4), x = input([3, 5]);
  mlp.up.bias = shaken(9, "up");
  mlp.down.bias = shaken(4, "down");
  const [y, xs, up, upBias, down, downBias] = await read(
    applyMlp(mlp, x),
    x,
    mlp.up.weight,
    mlp.up.bias,
    mlp.down.weight,
    mlp.down.bias,
  );
  const want = rowsOf(xs, 5).flatMap((row) =>
    referenceLinear(referenceLinear(row, up, upBias).map(referenceGelu), down, downBias)
  );
  assertClose(y, want, TOLERANCE);
});

for (const keyHeads of [4, 2]) {
  Deno.test(`applyAttention() equals a float64 loop with mask and rotary embedding when 4 query heads share ${keyHeads} key heads`, async () => {
    const width = 24, heads = 4, size = width / heads, count = 5, base = 100;
    const layer = makeAttention(random(), width, heads, { bias: true, keyHeads });
    layer.qkv.bias = shaken((heads + 2 * keyHeads) * size, "qkv");
    layer.output.bias = shaken(width, "output");
    const x = input([2, count, width]);
    const positions = [[0, 1, 2, 3, 4], [0, 3, 1, 7, 7]];
    const sees = (i: number, j: number) => j <= i && (i + j) % 3 !== 1;
    const angles = reshape(
      tensor(
        positions.flat().flatMap((p) =>
          Array.from({ length: size }, (_, i) => p * base ** (-2 * (i % (size / 2)) / size))
        ),
      ),
      [2, count, size],
    );
    const mask = tensor(
      positions.flatMap(() =>
        Array.from({ length: count ** 2 }, (_, n) => sees(Math.floor(n / count), n % count) ? 1 : 0)
      ),
      { shape: [2, 1, count, count], dtype: "bool" },
    );
    const [y, xs, w, b, ow, ob] = await read(
      applyAttention(layer, x, {
        heads,
        keyHeads,
        mask,
        rotary: { cos: cos(angles), sin: sin(angles) },
      }),
      x,
      layer.qkv.weight,
      layer.qkv.bias,
      layer.output.weight,
      layer.output.bias,
    );
    const rows = rowsOf(xs, width);
    const want = positions.flatMap((p, r) =>
      referenceAttention(rows.slice(r * count, (r + 1) * count), {
        qkv: { weight: w, bias: b },
        output: { weight: ow, bias: ob },
        heads,
        keyHeads,
        sees,
        rotary: { positions: p, base },
      }).flat()
    );
    assertClose(y, want, 3 * TOLERANCE);
  });
}

Deno.test("applyAttention() lets every token see every other when there is no mask", async () => {
  const layer = makeAttention(random(), 8, 2), x = input([1, 3, 8]);
  const [y, xs, w, ow] = await read(
    applyAttention(layer, x, { heads: 2 }),
    x,
    layer.qkv.weight,
    layer.output.weight,
  );
  const want = referenceAttention(rowsOf(xs, 8), {
    qkv: { weight: w },
    output: { weight: ow },
    heads: 2,
  });
  assertClose(y, want.flat(), TOLERANCE);
});

Deno.test("makeAttention() throws RangeError when heads do not fit the width", () => {
  const make = (width: number, heads: number, keyHeads?: number) => () =>
    makeAttention(random(), width, heads, { keyHeads });
  assertStringIncludes(assertThrows(make(10, 4), RangeError).message, "width 10: 4 heads");
  assertStringIncludes(assertThrows(make(12, 4, 3), RangeError).message, "3 key heads");
});

Deno.test("applyLinear() names layer and shapes when the input does not fit", () => {
  const layer = makeLinear(random(), 5, 7);
  layer.weight.name = "connector.up.weight";
  const { message } = assertThrows(() => applyLinear(layer, input([2, 4])), RangeError);
  assertStringIncludes(message, "connector.up.weight f32[7,5]");
  assertStringIncludes(message, "f32[2,4]");
});
