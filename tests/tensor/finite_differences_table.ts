/**
 * What is differentiated: every function that src/tensor/mod.ts and src/nn/mod.ts export, by its name.
 * Those without a gradient are listed with the reason.
 */
import * as nn from "../../src/nn/mod.ts";
import * as t from "../../src/tensor/mod.ts";
import { apart, type Check, check } from "./finite_differences.ts";
import { between, type Input, normal, truth, whole } from "./harness.ts";

const positive = (...shape: number[]): Input => between(0.5, 2, ...shape);
const x = normal(3, 5), cube = normal(2, 3, 4);
const MASK = truth([3, 5], [1, 0, 0, 1, 1, 0, 1, 1, 0, 0, 0, 1, 0, 1, 1]);
const GROUPS = whole([10], [2, 0, 1, 2, -1, 0, 2, 1, 0, 2]);

/** Three groups of rows in tiles of 16, two slots a token. */
const sorted = (g: t.Tensor) => t.sortByGroup(g, 3, 16);

/** A layer with every parameter an input: the tree's tensors replaced in order. */
function filled<T>(tree: T, values: readonly t.Tensor[]): T {
  const rest = [...values];
  // deno-lint-ignore no-explicit-any
  const visit = (node: any): any =>
    node instanceof t.Tensor
      ? rest.shift()
      : Object.fromEntries(Object.entries(node).map(([k, v]) => [k, visit(v)]));
  return visit(tree);
}

/** Inputs of the parameters' shapes. */
const parametersOf = (tree: unknown): Input[] =>
  [...nn.parameters(tree).values()].map(({ shape }) => normal(...shape));

const random = new t.Random(1, "layers");
const attentionLayer = nn.makeAttention(random, 8, 4, { bias: true, keyHeads: 2 });
const linearLayer = nn.makeLinear(random, 5, 4, { bias: true });
const normLayer = nn.makeNorm(5, { bias: true });
const mlp = nn.makeMlp(random, 5, 6, 3);

/** Gradients that are differentiated once more. */
const slope = (f: (x: t.Tensor) => t.Tensor) => (x: t.Tensor): t.Tensor =>
  t.gradients(t.sum(t.mul(f(x), t.sin(f(x)))), [x])[0];

/** The checks by the name of the export. */
export const CHECKS: Readonly<Record<string, readonly Check[]>> = {
  abs: [check(t.abs, apart(0.5, 3, 5))],
  add: [check(t.add, x, normal(5)), check((a) => t.add(a, 2), x)],
  sub: [check(t.sub, normal(3, 1), x)],
  mul: [check(t.mul, x, normal(3, 1)), check((a) => t.mul(a, a), x)],
  div: [check(t.div, x, positive(5)), check((a) => t.div(2, a), positive(3, 5))],
  maximum: [
    check((a) => t.maximum(a, t.flip(a, [0])), apart(0.5, 8)),
    check((a) => t.maximum(a, 0), apart(0.5, 8)),
  ],
  minimum: [
    check((a) => t.minimum(a, t.flip(a, [0])), apart(0.5, 8)),
    check((a) => t.minimum(0, a), apart(0.5, 8)),
  ],
  where: [check((c, a, b) => t.where(c, a, b), MASK, x, normal(5))],
  neg: [check(t.neg, x)],
  sign: [check(t.sign, apart(0.5, 8))],
  floor: [check(t.floor, { shape: [4], data: [0.5, -1.5, 2.4, 7.6] })],
  exp: [check(t.exp, x)],
  log: [check(t.log, positive(3, 5))],
  sqrt: [check(t.sqrt, positive(3, 5))],
  rsqrt: [check(t.rsqrt, positive(3, 5))],
  sin: [check(t.sin, between(-20, 20, 3, 5))],
  cos: [check(t.cos, between(-20, 20, 3, 5))],
  tanh: [check(t.tanh, x)],
  sigmoid: [check(t.sigmoid, between(-4, 4, 3, 5))],
  erf: [check(t.erf, between(-3, 3, 3, 5))],
  softplus: [check(t.softplus, apart(0.5, 3, 5))],
  reciprocal: [check(t.reciprocal, positive(3, 5))],
  square: [check(t.square, x)],
  relu: [check(t.relu, apart(0.5, 3, 5))],
  pow: [3, 4, 0.5, -0.5, -2, 1.7].map((p) => check((a) => t.pow(a, p), between(1, 2, 7))),
  clamp: [check((a) => t.clamp(a, -1, 1.5), apart(0.5, 3, 5))],
  cast: [{
    // f16 rounds, so the step has to be long; the function is straight.
    ...check((a) => t.cast(t.cast(a, "f16"), "f32"), between(0.5, 1, 9)),
    step: 1 / 4,
    tolerance: 1e-2,
  }],
  silu: [check(t.silu, x)],
  swiglu: [
    check((a) => t.swiglu(a), normal(3, 8)),
    // Second derivatives.
    check((a) => {
      const y = t.swiglu(a);
      return t.gradients(t.sum(t.mul(y, t.sin(y))), [a]);
    }, normal(3, 8)),
  ],
  gelu: [check(t.gelu, x)],
  geluTanh: [check(t.geluTanh, x)],
  quickGelu: [check(t.quickGelu, x)],

  reshape: [check((a) => t.reshape(a, [4, -1]), cube)],
  permute: [check((a) => t.permute(a, [2, 0, 1]), cube)],
  transpose: [check((a) => t.transpose(a, 0, 2), cube)],
  expand: [check((a) => t.expand(a, [4, 3, 5]), normal(3, 1))],
  slice: [check((a) => t.slice(a, { start: 1 }, { end: -1, step: 3 }), x)],
  narrow: [check((a) => t.narrow(a, 1, 2, 2), x)],
  split: [check((a) => t.split(a, [1, 3, 1], 1), x)],
  pad: [check((a) => t.pad(a, [1, 0], [0, 2], 0.5), x)],
  flip: [check((a) => t.flip(a, [0, 2]), cube)],
  cat: [check((a, b) => t.cat([a, b, a], 1), x, normal(3, 2))],
  stack: [check((a, b) => t.stack([a, b], 1), x, normal(3, 5))],
  unsqueeze: [check((a) => t.unsqueeze(a, 1), x)],
  squeeze: [check((a) => t.squeeze(a, 1), normal(3, 1, 2))],
  flattenFrom: [check((a) => t.flattenFrom(a, 1), cube)],
  repeat: [check((a) => t.repeat(a, [2, 3]), x)],
  repeatInterleave: [check((a) => t.repeatInterleave(a, 3, 0), x)],
  roll: [check((a) => t.roll(a, 2), x)],
  chunk: [check((a) => t.chunk(a, 3, 1), x)],
  unbind: [check((a) => t.unbind(a, 1), x)],
  tril: [check((a) => t.tril(a, 1), x)],
  triu: [check((a) => t.triu(a, -1), cube)],
  pack: [check((a, b) => t.pack([a, b]), x, normal(70))],

  sum: [check((a) => t.sum(a, { axes: [0, 2] }), cube), check((a) => t.sum(a), x)],
  prod: [
    check((a) => t.prod(a, { axes: 1 }), positive(3, 5)),
    check((a) => t.prod(a, { axes: 0 }), { shape: [3, 2], data: [0, 2, 1.5, 0, -1, 0] }),
  ],
  max: [check((a) => t.max(a, { axes: 0 }), apart(0.5, 3, 5))],
  min: [check((a) => t.min(a, { axes: 1, keepDims: true }), apart(0.5, 3, 5))],
  mean: [check((a) => t.mean(a, { axes: [0, 1] }), cube)],
  variance: [check((a) => t.variance(a, { axes: 1 }), x)],
  standardDeviation: [
    check((a) => t.standardDeviation(a, { axes: 0, correction: 0 }), apart(0.5, 3, 5)),
  ],
  norm: [check((a) => t.norm(a, { axes: 1 }), x)],
  logSumExp: [check((a) => t.logSumExp(a, { axes: [0, 2] }), cube)],
  softmax: [check((a) => t.softmax(a, 1), cube)],
  logSoftmax: [check((a) => t.logSoftmax(a), x)],
  cumsum: [check((a) => t.cumsum(a, 1), cube), check((a) => t.cumsum(a), normal(70))],
  cumprod: [check((a) => t.cumprod(a), positive(3, 5))],

  matmul: [
    check(t.matmul, x, normal(5, 4)),
    check((a, b) => t.matmul(a, t.transpose(b)), normal(2, 3, 4), normal(5, 4)),
    check(t.matmul, normal(3, 1, 2, 3), normal(2, 3, 4)),
    check(t.matmul, normal(5), normal(2, 5, 3)),
  ],
  linear: [check(t.linear, cube, normal(6, 4), normal(6))],
  groupedMatmul: [false, true].map((transposed) =>
    check(
      (a, w, g) => {
        const map = sorted(g), rows = t.dispatchRows(a, map, 2);
        return t.combineRows(t.groupedMatmul(rows, w, map, { transposed }), map, 2);
      },
      normal(5, 4),
      normal(...(transposed ? [3, 4, 6] : [3, 6, 4])),
      GROUPS,
    )
  ),
  groupedOuter: [check(
    (a, b, g) => {
      const map = sorted(g);
      return t.groupedOuter(t.dispatchRows(a, map, 2), t.dispatchRows(b, map, 2), map);
    },
    normal(5, 4),
    normal(5, 3),
    GROUPS,
  )],
  dispatchRows: [check((a, g) => t.dispatchRows(a, sorted(g), 2), normal(5, 4), GROUPS)],
  combineRows: [
    check((a, g) => t.combineRows(a, sorted(g), 2), normal(64, 3), GROUPS),
    check((a, w, g) => t.combineRows(a, sorted(g), 2, w), normal(64, 3), normal(5, 2), GROUPS),
  ],

  conv2d: [
    check(
      (a, w, b) => t.conv2d(a, w, b, { padding: 1 }),
      normal(1, 2, 4, 5),
      normal(3, 2, 3, 3),
      normal(3),
    ),
    check(
      (a, w) => t.conv2d(a, w, undefined, { stride: 2 }),
      normal(2, 3, 4, 4),
      normal(5, 3, 2, 2),
    ),
  ],
  avgPool2d: [check((a) => t.avgPool2d(a, 2), normal(1, 2, 5, 4))],
  interpolate: (["nearest", "bilinear", "bicubic", "area"] as const).map((mode) =>
    check((a) => t.interpolate(a, [5, 3], mode), normal(2, 3, 4))
  ),

  take: [check((a, i) => t.take(a, i, 1), x, whole([2, 2], [4, 0, 0, 2]))],
  takeAlong: [
    check((a, i) => t.takeAlong(a, i, 1), x, whole([3, 2], [4, 0, 1, 1, 2, 3])),
    check((a, i) => t.takeAlong(a, i, 1), x, whole([3, 1], [4, 0, 1])),
  ],
  takeRowsOrZero: [check(t.takeRowsOrZero, x, whole([4], [2, -1, 0, 2]))],
  indexAdd: [check((a, i) => t.indexAdd(a, i, 4), x, whole([3], [3, 0, 3]))],
  scatterAdd: [
    check(
      (a, i) => t.scatterAdd(a, i, 4, 0),
      x,
      whole([3, 5], [0, 1, 2, 3, 0, 1, 1, -1, 9, 2, 0, 3, 3, 3, 1]),
    ),
  ],
  scatter: [
    check((a, i, b) => t.scatter(a, i, b, 1), x, whole([3, 2], [4, 0, 1, 2, 3, 1]), normal(3, 2)),
  ],
  topK: [check((a) => t.topK(a, 2, { axis: 0 }).values, apart(0.5, 3, 5))],
  sort: [check((a) => t.sort(a).values, apart(0.5, 3, 5))],
  maskedScatter: [check(t.maskedScatter, x, MASK, normal(8))],
  maskedSelect: [check(t.maskedSelect, x, MASK)],

  rmsNorm: [check((a, w) => t.rmsNorm(a, w), x, normal(5))],
  layerNorm: [check((a, w, b) => t.layerNorm(a, w, b), x, normal(5), normal(5))],
  crossEntropy: (["mean", "sum", "none"] as const).map((reduction) =>
    check(
      (a, i) => t.crossEntropy(a, i, { reduction, labelSmoothing: 0.1 }),
      x,
      whole([3], [4, -100, 1]),
    )
  ),
  attention: [
    check(
      (q, k, v) => t.attention(q, k, v, { causal: true }).output,
      normal(1, 4, 3, 4),
      normal(1, 2, 3, 4),
      normal(1, 2, 3, 5),
    ),
    check(
      (q, k, v, mask) => {
        const { output, probabilities } = t.attention(q, k, v, { mask });
        return [output, probabilities];
      },
      normal(1, 2, 3, 4),
      normal(1, 2, 5, 4),
      normal(1, 2, 5, 2),
      normal(3, 5),
    ),
  ],
  flashAttention: [
    check(
      (q, k, v, mask) => {
        const { output, logSumExp } = t.flashAttention(q, k, v, { mask, causal: true });
        return [output, logSumExp];
      },
      normal(1, 4, 3, 4),
      normal(1, 2, 5, 4),
      normal(1, 2, 5, 3),
      truth([3, 5], [1, 1, 0, 1, 0, 0, 1, 1, 0, 1, 1, 0, 1, 1, 1]),
    ),
    // Second derivatives, of operands that are one tensor.
    check(
      (a, b) => {
        const { output } = t.flashAttention(a, a, t.mul(a, b), { causal: true });
        return t.gradients(t.sum(t.mul(output, t.sin(output))), [a, b]);
      },
      normal(1, 2, 3, 4),
      normal(1, 2, 3, 4),
    ),
  ],
  applyRotary: [check(t.applyRotary, normal(1, 2, 3, 4), normal(1, 3, 4), normal(3, 4))],
  rotaryAngles: [check((f, p) => t.rotaryAngles(f, p), normal(3), whole([2], [1, 4]))],
  checkpoint: [
    check((a, w) => t.checkpoint((b: t.Tensor) => t.sin(t.matmul(b, w)))(a), x, normal(5, 4)),
  ],

  // Second derivatives: the gradient's own directional derivative.
  gradients: [
    check(slope(t.sin), x),
    check(slope((a) => t.softmax(a)), x),
    check(slope((a) => t.matmul(a, t.transpose(a))), x),
    check(slope((a) => t.logSumExp(a, { axes: 1 })), x),
    check(slope((a) => t.layerNorm(a)), apart(0.3, 3, 5)),
    check(slope((a) => t.cumsum(a)), x),
    check(slope((a) => t.gelu(t.slice(a, {}, { step: 2 }))), x),
    check(slope((a) => t.prod(a, { axes: 1 })), positive(3, 4)),
    check(slope((a) => t.take(a, t.tensor(Int32Array.of(1, 1, 0)))), x),
  ],
  valueAndGrad: [check((a) => {
    const { value, grads } = t.valueAndGrad((b: t.Tensor) => t.sum(t.exp(b)))(a);
    return [value, ...grads];
  }, x)],

  applyLinear: [
    check((a, ...p) => nn.applyLinear(filled(linearLayer, p), a), x, ...parametersOf(linearLayer)),
  ],
  applyNorm: [
    check((a, ...p) => nn.applyNorm(filled(normLayer, p), a, 1e-5), x, ...parametersOf(normLayer)),
    check((a, w) => nn.applyNorm({ weight: w }, a, 1e-5), x, normal(5)),
  ],
  applyAttention: [check(
    (a, ...p) => nn.applyAttention(filled(attentionLayer, p), a, { heads: 4, keyHeads: 2 }),
    between(-0.5, 0.5, 1, 3, 8),
    ...parametersOf(attentionLayer).map((i) => between(-0.5, 0.5, ...i.shape)),
  )],
  selfAttention: [check(
    (a, ...p) => {
      const use = { heads: 4, keyHeads: 2 };
      const { output, probabilities } = nn.selfAttention(filled(attentionLayer, p), a, use);
      return [output, probabilities];
    },
    between(-0.5, 0.5, 1, 3, 8),
    ...parametersOf(attentionLayer).map((i) => between(-0.5, 0.5, ...i.shape)),
  )],
  applyMlp: [check((a, ...p) => nn.applyMlp(filled(mlp, p), a), x, ...parametersOf(mlp))],
};

/** Exports that nothing is differentiated through, and why. */
export const WITHOUT: Readonly<Record<string, string>> = {
  ...why("makes truth values", "equal notEqual less lessEqual greater greaterEqual isFinite"),
  ...why("takes and makes truth values", "logicalAnd logicalOr logicalNot"),
  ...why("makes positions or counts", "argmax argmin nonzero oneHot sortByGroup iota"),
  ...why("makes constants", "full zeros ones tensor placeholder constant normal"),
  ...why("cuts the gradient off; see gradients_test.ts", "stopGradient"),
  ...why("changes operands in place", "makeEffect setValues flattenInPlace writePart"),
  ...why(
    "a device, a plan, a reading",
    "Session lab currentSession openSession sessionSeed evaluate compile explain Explanation " +
      "KernelTable describe readAll readPart takeMemory",
  ),
  ...why("random numbers on the host", "Random philox hashString"),
  ...why("the class", "Tensor"),
  ...why(
    "shapes, types and names on the host",
    "broadcastShapes bytesPerElement checkShape dtypeOf formatShape hostArray isFloat nearest " +
      "normalizeAxes normalizeAxis packedOffsets resolveReshape rowMajor sameShape sizeOf toHost " +
      "unknownName",
  ),
  ...why(
    "makes or lists parameters",
    "makeLinear makeNorm makeAttention makeMlp parameters parameterCount buffers",
  ),
};

function why(reason: string, names: string): Record<string, string> {
  return Object.fromEntries(names.split(" ").map((name) => [name, reason]));
}
