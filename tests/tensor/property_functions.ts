/** The functions of neural networks in random graphs. */
import * as t from "../../src/tensor/mod.ts";
import type { Draft, Family } from "./property_draft.ts";
import * as ref from "./reference.ts";
import { type Arr, at, build, zip } from "./reference.ts";
import { attend, convolved, entropy, normalised, rotated, scaled } from "./reference_functions.ts";

export const rms: Family = (d) => {
  const from = d.pick("f32", 1), width = d.shapeOf(from).at(-1)!;
  if (width === 0) return false;
  const weight = d.random.bool() ? [d.operand([width])] : [];
  return d.add({
    name: "rmsNorm",
    from: [from, ...weight],
    device: (x, w?: t.Tensor) => t.rmsNorm(x, w, 0.1),
    reference: (x, w?: Arr) => w ? zip((a, b) => a * b, scaled(x, 0.1), w) : scaled(x, 0.1),
  });
};

export const layer: Family = (d) => {
  const from = d.pick("f32", 1), shape = d.shapeOf(from);
  const dimensions = shape.length > 1 && d.random.bool(0.3) ? 2 : 1;
  const axes = Array.from({ length: dimensions }, (_, i) => shape.length - dimensions + i);
  if (axes.some((a) => shape[a] === 0)) return false;
  const width = dimensions === 1 ? [shape.at(-1)!] : shape.slice(-2);
  const extra = d.random.bool() ? [d.operand(width), d.operand(width)] : [];
  return d.add({
    name: `layerNorm over ${axes}`,
    from: [from, ...extra],
    device: (x, w?: t.Tensor, b?: t.Tensor) => t.layerNorm(x, w, b, 0.1, dimensions),
    reference: (x, w?: Arr, b?: Arr) => {
      const y = normalised(x, axes, 0.1);
      return w && b ? zip((v, s, u) => v * s + u, y, w, b) : y;
    },
  });
};

export const crossEntropies: Family = (d) => {
  const { random } = d;
  const found = random.bool(0.6) ? d.find("f32", ([, c, more]) => c > 0 && more === undefined) : -1;
  const from = found >= 0 ? found : d.operand([d.size(9), 1 + random.int(9)]);
  const [rows, classes] = d.shapeOf(from);
  const labelSmoothing = random.pick([0, 0.1]);
  const reduction = random.pick(["mean", "sum", "none"] as const);
  const targets = Array.from(
    { length: rows },
    () => random.bool(0.2) ? -100 : random.int(classes),
  );
  return d.add({
    name: `crossEntropy ${reduction}, smoothing ${labelSmoothing}`,
    from: [from, d.input([rows], "i32", targets)],
    device: (x, i) => t.crossEntropy(x, i, { reduction, labelSmoothing }),
    reference: (x, i) => entropy(x, i, labelSmoothing, reduction),
  });
};

/** Stands for -∞ in masked scores, as in attention(). */
const NEVER = -1e30;

/** The numbers that a mask adds to the scores. */
function maskValues(dtype: t.DType, m: Arr | undefined): (c: readonly number[]) => number {
  if (!m) return () => 0;
  const lead = 4 - m.shape.length;
  return (c) => {
    const v = at(m, m.shape.map((d, i) => d === 1 ? 0 : c[lead + i]));
    return dtype === "bool" ? (v ? 0 : NEVER) : v;
  };
}

export const attentive: Family = (d) => {
  const { random } = d, keyHeads = 1 + random.int(2), heads = keyHeads * (1 + random.int(2));
  const b = 1 + random.int(2), tq = 1 + random.int(6), width = 1 + random.int(6);
  const tk = random.bool(0.7) ? tq : tq + random.int(3);
  const causal = random.bool(), kind = random.pick(["none", "none", "bool", "f32"] as const);
  const mask = kind === "none"
    ? []
    : [d.operand(random.pick([[b, 1, 1, tk], [tq, tk], [b, heads, tq, tk]]), kind)];
  const q = d.like([b, heads, tq, width]), k = d.like([b, keyHeads, tk, width]);
  const v = d.like([b, keyHeads, tk, 1 + random.int(5)]);
  const device = (q: t.Tensor, k: t.Tensor, v: t.Tensor, m?: t.Tensor) =>
    t.attention(q, k, v, { causal, mask: m });
  const reference = (q: Arr, k: Arr, v: Arr, m?: Arr) => {
    const added = maskValues(kind === "bool" ? "bool" : "f32", m);
    return attend(q, k, v, (c) => causal && c[3] > c[2] + tk - tq ? NEVER : added(c));
  };
  // A row that may see nothing is no softmax of scores: what it holds is nobody's business.
  const seen = (m?: Arr) => {
    const added = maskValues(kind === "bool" ? "bool" : "f32", m);
    const sees = (c: readonly number[], j: number) =>
      (!causal || j <= c[2] + tk - tq) && added([...c, j]) > NEVER;
    return [...ref.coordinates([b, heads, tq])].every((c) =>
      Array.from({ length: tk }, (_, j) => j).some((j) => sees(c, j))
    );
  };
  const output = random.bool(0.7);
  return d.add({
    name: `attention${causal ? ", causal" : ""}${kind === "none" ? "" : `, mask ${kind}`}${
      output ? "" : ": probabilities"
    }`,
    from: [q, k, v, ...mask],
    device: (...x) => output ? device(...x as Three).output : device(...x as Three).probabilities,
    reference: (...x) => reference(...x as [Arr, Arr, Arr])[output ? 0 : 1],
    steady: (_q, _k, _v, m?: Arr) => seen(m),
  });
};

type Three = [t.Tensor, t.Tensor, t.Tensor];

export const rotary: Family = (d) => {
  const { random } = d, b = 1 + random.int(2), steps = 1 + random.int(4);
  const width = 2 * (1 + random.int(3)), x = d.like([b, 1 + random.int(3), steps, width]);
  const angles = d.operand([b, steps, width]);
  return d.add({
    name: "applyRotary",
    from: [x, angles],
    device: (x, a) => t.applyRotary(x, t.cos(a), t.sin(a)),
    reference: (x, a) => rotated(x, ref.map(a, Math.cos), ref.map(a, Math.sin)),
  });
};

/** A picture [B, C, H, W] at least as large as a kernel. */
function picture(d: Draft, channels: number, least: number): number {
  const side = () => least + d.random.int(6);
  return d.like([1 + d.random.int(2), channels, side(), side()]);
}

export const convolution: Family = (d) => {
  const { random } = d, channels = 1 + random.int(3), kernel = [0, 1].map(() => 1 + random.int(3));
  const x = picture(d, channels, Math.max(...kernel)), out = 1 + random.int(4);
  const stride = random.bool(0.4) ? kernel : [1 + random.int(2), 1 + random.int(3)];
  const padding = random.bool() ? [0, 0] : [random.int(2), random.int(2)];
  const bias = random.bool() ? [d.operand([out])] : [];
  return d.add({
    name: `conv2d, stride ${stride}, padding ${padding}`,
    from: [x, d.operand([out, channels, ...kernel]), ...bias],
    device: (x, w, b?: t.Tensor) => {
      const pair = (p: number[]) => [p[0], p[1]] as const;
      return t.conv2d(x, w, b, { stride: pair(stride), padding: pair(padding) });
    },
    reference: (x, w, b?: Arr) => {
      const y = convolved(x, w, stride, padding);
      return b ? zip((v, s) => v + s, y, ref.reshape(b, [out, 1, 1])) : y;
    },
  });
};

export const pooled: Family = (d) => {
  const kernel = [1 + d.random.int(3), 1 + d.random.int(3)] as const;
  return d.add({
    name: `avgPool2d ${kernel}`,
    from: [picture(d, 2, 3)],
    device: (x) => t.avgPool2d(x, kernel),
    reference: (x) => {
      const k = build([2, 2, ...kernel], ([o, c]) => o === c ? 1 / (kernel[0] * kernel[1]) : 0);
      return convolved(x, k, kernel, [0, 0]);
    },
  });
};

/** Weights of old elements in a new one of a resized axis. */
function resampled(at: number, from: number, to: number, mode: t.ResampleMode): [number, number][] {
  const ratio = from / to, centre = (at + 0.5) * ratio - 0.5, first = Math.floor(centre);
  const inside = (i: number) => Math.min(from - 1, Math.max(0, i));
  switch (mode) {
    case "nearest":
      return [[inside(Math.floor(Math.fround(at * Math.fround(ratio)))), 1]];
    case "bilinear": {
      const place = Math.max(0, centre), i = Math.floor(place);
      return [[inside(i), 1 - (place - i)], [inside(i + 1), place - i]];
    }
    case "area": {
      const start = Math.floor(at * ratio), end = Math.ceil((at + 1) * ratio);
      return Array.from({ length: end - start }, (_, i) => [start + i, 1 / (end - start)]);
    }
    default:
      return [-1, 0, 1, 2].map((i) => {
        const s = Math.abs(centre - first - i);
        const weight = s <= 1
          ? 1.25 * s ** 3 - 2.25 * s ** 2 + 1
          : s < 2
          ? -0.75 * (s ** 3 - 5 * s ** 2 + 8 * s - 4)
          : 0;
        return [inside(first + i), weight];
      });
  }
}

export const resized: Family = (d) => {
  const { random } = d, mode = random.pick(["nearest", "bilinear", "bicubic", "area"] as const);
  const x = d.like([...(random.bool() ? [2] : []), 2 + random.int(5), 1 + random.int(6)]);
  const [h, w] = d.shapeOf(x).slice(-2), size = [1 + random.int(9), 1 + random.int(9)] as const;
  return d.add({
    name: `interpolate to ${size}, ${mode}`,
    from: [x],
    device: (x) => t.interpolate(x, size, mode),
    reference: (x) =>
      build([...x.shape.slice(0, -2), ...size], (c) => {
        const lead = c.slice(0, -2), [i, j] = c.slice(-2);
        let sum = 0;
        for (const [r, u] of resampled(i, h, size[0], mode)) {
          for (const [s, v] of resampled(j, w, size[1], mode)) {
            sum += u * v * at(x, [...lead, r, s]);
          }
        }
        return sum;
      }),
  });
};
