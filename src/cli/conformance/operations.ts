/**
 * How every group of operation cases is computed here.
 *
 * @module
 */
import {
  add,
  attention,
  avgPool2d,
  clamp,
  conv2d,
  cos,
  crossEntropy,
  div,
  equal,
  erf,
  exp,
  gelu,
  geluTanh,
  interpolate,
  layerNorm,
  linear,
  log,
  logSoftmax,
  logSumExp,
  matmul,
  maximum,
  mean,
  minimum,
  mul,
  narrow,
  neg,
  oneHot,
  permute,
  pow,
  quickGelu,
  reciprocal,
  relu,
  type ResampleMode,
  reshape,
  rmsNorm,
  rsqrt,
  sigmoid,
  silu,
  sin,
  softmax,
  softplus,
  split,
  sqrt,
  square,
  stopGradient,
  sub,
  sum,
  take,
  takeAlong,
  tanh,
  type Tensor,
  topK,
  transpose,
  unsqueeze,
  where,
} from "../../tensor/mod.ts";
import { abs, applyRotary, cast, rotaryAngles, tensor } from "../../tensor/mod.ts";
import { Skip } from "./case.ts";
import { GATHER_SCATTER, REDUCTIONS, SELECTION, SHAPES } from "./operations_on_axes.ts";
import type { Inputs, Results, Table } from "./operation.ts";

const unary = (f: (x: Tensor) => Tensor) => (c: Inputs): Tensor => f(c.in("x"));
const binary = (f: (a: Tensor, b: Tensor) => Tensor) => (c: Inputs): Tensor =>
  f(c.in("a"), c.in("b"));

const BINARY: Table = [
  ["add", binary(add)],
  ["sub", binary(sub)],
  ["mul", binary(mul)],
  ["div", binary(div)],
  ["maximum", binary(maximum)],
  ["minimum", binary(minimum)],
  ["scalar_left", (c) => {
    const a = c.in("a");
    return add(sub(2.5, div(a, 3)), div(1, add(mul(a, a), 1)));
  }],
  ["same_tensor_twice", (c) => add(mul(c.in("a"), c.in("a")), c.in("a"))],
  ["scalar_broadcast", binary(mul)],
];

const UNARY: Table = [
  ["exp", unary(exp)],
  ["log", unary(log)],
  ["sqrt", unary(sqrt)],
  ["rsqrt", unary(rsqrt)],
  ["abs", unary(abs)],
  ["neg", unary(neg)],
  ["tanh", unary(tanh)],
  ["sigmoid", unary(sigmoid)],
  ["relu", unary(relu)],
  ["sin", unary(sin)],
  ["cos", unary(cos)],
  ["reciprocal", unary(reciprocal)],
  ["erf", unary(erf)],
  ["softplus", unary(softplus)],
  ["pow3", unary((x) => pow(x, 3))],
  ["pow_half", unary((x) => pow(x, 0.5))],
  ["pow_m2", unary((x) => pow(x, -2))],
  ["clamp", (c) => clamp(c.in("x"), c.number("min"), c.number("max"))],
];

const ACTIVATIONS: Table = [
  ["gelu", unary(gelu)],
  ["gelu_exact_torch", unary(gelu)],
  ["gelu_pytorch_tanh", unary(geluTanh)],
  ["gelu_new", unary(geluTanh)],
  ["gelu_tanh_torch", unary(geluTanh)],
  ["quick_gelu", unary(quickGelu)],
  ["silu", unary(silu)],
  ["relu", unary(relu)],
  ["swiglu", (c) => mul(silu(c.in("g")), c.in("u"))],
];

const MATMUL: Table = [
  ["transposed_inputs", (c) => matmul(transpose(c.in("a")), transpose(c.in("b")))],
  ["linear", (c) => linear(c.in("x"), c.in("w"), c.in("b"))],
  ["linear_nobias", (c) => linear(c.in("x"), c.in("w"))],
  ["einsum_qk", (c) => matmul(c.in("q"), transpose(c.in("k")))],
  [
    /^(m2d|batched|broadcast_batch|vec_mat|mat_vec|dot|mat3_mat2|tile_edges|k1|one)$/,
    binary(matmul),
  ],
];

const SOFTMAX: Table = [
  ["softmax_masked", (c) => softmax(where(c.mask("mask"), c.in("x"), -Infinity))],
  [/^log_softmax_/, (c) => logSoftmax(c.in("x"), c.number("dim"))],
  [/^softmax_/, (c) => softmax(c.in("x"), c.number("dim"))],
  [/^logsumexp_/, (c) => logSumExp(c.in("x"), { axes: c.number("dim") })],
];

const optional = (c: Inputs, name: string): Tensor | undefined =>
  c.has(name) ? c.in(name) : undefined;

const NORMS: Table = [
  [
    /^layer_norm/,
    (c) =>
      layerNorm(
        c.in("x"),
        optional(c, "w"),
        optional(c, "b"),
        c.number("eps"),
        c.number("normalized_dims", 1),
      ),
  ],
  [/^rms_norm/, (c) => rmsNorm(c.in("x"), optional(c, "w"), c.number("eps"))],
];

const EMBEDDING: Table = [
  ["embedding", (c) => take(c.in("w"), c.in("idx"))],
  [/^embedding_padding_idx/, (c) => {
    const w = c.in("w"), rows = tensor(Int32Array.from({ length: w.shape[0] }, (_, i) => i));
    const padding = unsqueeze(equal(rows, c.number("padding_idx")), 1);
    return take(where(padding, stopGradient(w), w), c.in("idx"));
  }],
  ["one_hot", (c) => cast(oneHot(c.in("idx"), c.number("classes")), "i32")],
];

/** Cross-entropy with the options that the parameters name. */
function entropy(c: Inputs): Tensor {
  const { reduction = "mean" } = c.params;
  if (reduction !== "mean" && reduction !== "sum" && reduction !== "none") {
    throw new SyntaxError(`reduction "${reduction}" should be "mean", "sum" or "none"`);
  }
  return crossEntropy(c.in("x"), c.in("t"), {
    ignoreIndex: c.number("ignore_index", -100),
    labelSmoothing: c.number("label_smoothing", 0),
    reduction,
  });
}

const LOSSES: Table = [
  ["causal_shift", (c) => {
    const x = c.in("x"), labels = c.in("labels");
    const [batch, length, classes] = x.shape, rows = batch * (length - 1);
    const logits = reshape(narrow(x, 1, 0, length - 1), [rows, classes]);
    return crossEntropy(logits, reshape(narrow(labels, 1, 1, length - 1), [rows]));
  }],
  ["mse", (c) => mean(square(sub(c.in("a"), c.in("b"))))],
  ["nll", (c) => neg(mean(takeAlong(logSoftmax(c.in("x")), unsqueeze(c.in("t"), 1), 1)))],
  [
    /^(mean|sum|none|ignore_index|label_smoothing|smoothing_and_ignore.*|large_logits)$/,
    entropy,
  ],
];

/** Output and probabilities, in the order of the reference files. */
function attend(c: Inputs, options: { causal?: boolean; mask?: Tensor }): Results {
  const { output, probabilities } = attention(c.in("q"), c.in("k"), c.in("v"), options);
  return { y0: output, y1: probabilities };
}

/** torch.nn.MultiheadAttention: queries from x, keys and values from y. */
function multihead(c: Inputs): Results {
  const x = c.in("x"), y = c.in("y"), count = c.number("heads"), width = x.shape[2];
  const three = [width, width, width];
  const [wq, wk, wv] = split(c.in("wi"), three), [bq, bk, bv] = split(c.in("bi"), three);
  const heads = (t: Tensor) =>
    permute(reshape(t, [t.shape[0], t.shape[1], count, width / count]), [0, 2, 1, 3]);
  const { output, probabilities } = attention(
    heads(linear(x, wq, bq)),
    heads(linear(y, wk, bk)),
    heads(linear(y, wv, bv)),
  );
  const joined = reshape(permute(output, [0, 2, 1, 3]), x.shape);
  return { y0: linear(joined, c.in("wo"), c.in("bo")), y1: probabilities };
}

const ATTENTION: Table = [
  [/^(causal|gqa_causal|large_scores)$/, (c) => attend(c, { causal: true })],
  ["additive_mask", (c) => attend(c, { mask: c.in("mask") })],
  ["causal_and_right_padding", (c) => attend(c, { mask: c.mask("keep") })],
  ["multihead_module", multihead],
  [/^(full|cross_kv_longer)$/, (c) => attend(c, {})],
];

const ROPE: Table = [
  ["apply_rotary", (c) => ({
    y0: applyRotary(c.in("q"), c.in("cos"), c.in("sin")),
    y1: applyRotary(c.in("k"), c.in("cos"), c.in("sin")),
  })],
  [/^tables_/, (c) => {
    const dim = c.number("dim"), theta = c.number("theta");
    const frequencies = tensor(
      Float32Array.from({ length: dim / 2 }, (_, i) => 1 / theta ** (2 * i / dim)),
    );
    const angles = rotaryAngles(frequencies, c.in("position_ids"));
    return { cos: cos(angles), sin: sin(angles), inv_freq: frequencies };
  }],
];

const CONV2D: Table = [[
  /^(patch_embed|rect_kernel|conv3x3)/,
  (c) => {
    const [sy, sx] = c.numbers("stride", 2, 1), [py, px] = c.numbers("padding", 2, 0);
    const options = { stride: [sy, sx], padding: [py, px] } as const;
    return conv2d(c.in("x"), c.in("w"), optional(c, "b"), options);
  },
]];

const INTERPOLATE: Table = [
  [/^avg_pool/, (c) => {
    const [kh, kw] = c.numbers("kernel", 2);
    return avgPool2d(c.in("x"), [kh, kw]);
  }],
  [/^(bilinear|bicubic|nearest|area)_/, (c) => {
    if (c.params.align_corners === true) throw new Skip("no align_corners here");
    const [height, width] = c.numbers("size", 2);
    return interpolate(c.in("x"), [height, width], c.name.split("_")[0] as ResampleMode);
  }],
];

const GRAPHS: Table = [
  ["shared_weight", (c) => {
    const layer = (x: Tensor) => tanh(add(matmul(x, c.in("w")), c.in("b")));
    return layer(layer(c.in("x")));
  }],
  ["detach_branch", (c) => {
    const x = c.in("x");
    return add(mul(x, stopGradient(x)), mean(square(x)));
  }],
  ["mlp_residual_norm", (c) => {
    const x = c.in("x");
    return add(x, matmul(gelu(matmul(layerNorm(x, c.in("g")), c.in("w1"))), c.in("w2")));
  }],
  ["softmax_weighted_topk", (c) => {
    const { values, indices } = topK(softmax(c.in("x")), 2);
    const weights = div(values, sum(values, { axes: -1, keepDims: true }));
    return sum(mul(weights, takeAlong(c.in("v"), indices)), { axes: -1 });
  }],
];

/** The tables, by the name of the file. */
export const OPERATIONS: Readonly<Record<string, Table>> = {
  binary: BINARY,
  unary: UNARY,
  activations: ACTIVATIONS,
  matmul: MATMUL,
  softmax: SOFTMAX,
  norms: NORMS,
  embedding: EMBEDDING,
  losses: LOSSES,
  attention: ATTENTION,
  rope: ROPE,
  conv2d: CONV2D,
  selection: SELECTION,
  gather_scatter: GATHER_SCATTER,
  reductions: REDUCTIONS,
  shapes: SHAPES,
  graphs: GRAPHS,
  interpolate: INTERPOLATE,
};
