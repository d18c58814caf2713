/** The whole model and its loss as plain loops in float64. */
import { moeLayers } from "../../src/models/mod.ts";
import type { LvlmConfig } from "../../src/models/mod.ts";
import { dense, routersOf } from "../../src/moe/mod.ts";
import { type ReferenceToken, referenceToken } from "../moe/reference.ts";
import {
  referenceAttention,
  referenceGelu,
  referenceLinear,
  referenceNorm,
  type Row,
  rowsOf,
} from "../nn/reference.ts";
import type { Packed } from "./shared.ts";

/** Parameters by path. */
export type ReferenceParameters = ReadonlyMap<string, Float64Array>;

/** What the loops compute. */
export interface ReferenceOutputs {
  /** One row for each position of the batch. */
  logits: Row[];
  /** For each mixture layer, its tokens. */
  routed: ReferenceToken[][];
}

const plus = (a: Row, b: Row): Row => a.map((v, i) => v + b[i]);

/** Rows of image tokens in the width of the language model. */
function imageRows(p: ReferenceParameters, c: LvlmConfig, pixels: ArrayLike<number>): Row[] {
  const { imageSize, patch, width, heads, layers } = c.vision, n = imageSize / patch;
  const get = (path: string) => p.get(path)!;
  const linear = (path: string, x: Row) =>
    referenceLinear(x, get(`${path}.weight`), get(`${path}.bias`));
  const norm = (path: string, x: Row) =>
    referenceNorm(x, get(`${path}.weight`), get(`${path}.bias`), 1e-6);
  const position = rowsOf(get("vision.position"), width);
  let x = position.map((at, token) => {
    const left = token % n * patch, top = Math.floor(token / n) * patch;
    const cut: Row = [];
    for (let channel = 0; channel < 3; channel++) {
      for (let py = 0; py < patch; py++) {
        for (let px = 0; px < patch; px++) {
          cut.push(pixels[(channel * imageSize + top + py) * imageSize + left + px]);
        }
      }
    }
    return plus(linear("vision.patches", cut), at);
  });
  for (let i = 0; i < layers; i++) {
    const at = `vision.blocks.${i}`;
    const part = (name: string) => ({
      weight: get(`${at}.attention.${name}.weight`),
      bias: get(`${at}.attention.${name}.bias`),
    });
    const mixed = referenceAttention(x.map((row) => norm(`${at}.norm1`, row)), {
      qkv: part("qkv"),
      output: part("output"),
      heads,
    });
    x = x.map((row, t) => plus(row, mixed[t]));
    x = x.map((row) => {
      const h = linear(`${at}.mlp.up`, norm(`${at}.norm2`, row)).map(referenceGelu);
      return plus(row, linear(`${at}.mlp.down`, h));
    });
  }
  return x.map((row) =>
    linear("connector.down", linear("connector.up", norm("vision.norm", row)).map(referenceGelu))
  );
}

/** Logits of a batch. Image tokens are those of `modality`, or all but each image's last. */
export function referenceLvlm(
  p: ReferenceParameters,
  c: LvlmConfig,
  batch: Packed,
): ReferenceOutputs {
  const { width, heads, layers, hidden, ropeBase: base, epsilon } = c.language;
  const get = (path: string) => p.get(path)!;
  const mixtures = c.ffn.experts.length > 1 ? moeLayers(c.placement, layers) : [];
  const routed: ReferenceToken[][] = mixtures.map(() => []);
  const embedding = rowsOf(get("language.embedding"), width);
  const { tokens, positions, segments, modality } = batch.arrays;
  const area = batch.pixels.length / batch.rows;
  const logits = Array.from({ length: batch.rows }, (_, row) => {
    const from = row * batch.length;
    const image = imageRows(p, c, batch.pixels.subarray(row * area, (row + 1) * area));
    let x = Array.from(
      { length: batch.length },
      (_, t) => t < image.length ? image[t] : embedding[tokens[from + t]],
    );
    const type = (t: number) =>
      c.visionBoundary === "exact" || t + 1 === batch.length || modality[from + t] === 0
        ? modality[from + t]
        : modality[from + t + 1];
    const sees = (i: number, j: number) => {
      const query = segments[from + i], key = segments[from + j];
      return j <= i && (key === 0 || (key === query && key >= 0));
    };
    for (let i = 0; i < layers; i++) {
      const at = `language.blocks.${i}`;
      const norm = (name: string, h: Row) =>
        referenceNorm(h, get(`${at}.${name}.weight`), undefined, epsilon);
      const mixed = referenceAttention(x.map((h) => norm("norm1", h)), {
        qkv: { weight: get(`${at}.attention.qkv.weight`) },
        output: { weight: get(`${at}.attention.output.weight`) },
        heads,
        sees,
        rotary: { positions: positions.subarray(from, from + batch.length), base },
      });
      x = x.map((h, t) => plus(h, mixed[t]));
      const moe = mixtures.indexOf(i);
      const table = moe >= 0 ? c.ffn : dense();
      const layer = {
        table,
        routers: moe >= 0 ? routersOf(table).map((_, r) => get(`${at}.ffn.routers.${r}`)) : [],
        gateUp: get(`${at}.ffn.gateUp`),
        down: get(`${at}.ffn.down`),
        width,
        hidden,
      };
      x = x.map((h, t) => {
        const token = referenceToken(layer, norm("norm2", h), type(t));
        if (moe >= 0) routed[moe].push(token);
        return plus(h, token.y);
      });
    }
    return x.map((h) =>
      referenceLinear(
        referenceNorm(h, get("language.norm.weight"), undefined, epsilon),
        get("language.head.weight"),
      )
    );
  });
  return { logits: logits.flat(), routed };
}

/** Mean cross-entropy of the labelled positions. */
export function referenceCrossEntropy(logits: readonly Row[], labels: ArrayLike<number>): number {
  let total = 0, count = 0;
  logits.forEach((row, t) => {
    if (labels[t] < 0) return;
    const top = Math.max(...row);
    total += top + Math.log(row.reduce((s, z) => s + Math.exp(z - top), 0)) - row[labels[t]];
    count++;
  });
  return total / count;
}

/** The pooled load-balancing losses of all routers together, each counting all k choices. */
export function referenceBalance(c: LvlmConfig, routed: ReferenceToken[][], batch: Packed): number {
  let loss = 0;
  for (const { experts, modalities } of routersOf(c.ffn)) {
    const mine = routed.flatMap((layer) =>
      layer.filter((_, t) =>
        batch.arrays.valid[t] === 1 && modalities.includes(batch.arrays.modality[t])
      )
    );
    for (const e of experts) {
      const load = mine.filter((token) => token.chosen.includes(e)).length / mine.length;
      const mean = mine.reduce((s, token) => s + token.probabilities[e], 0) / mine.length;
      loss += experts.length * load * mean;
    }
  }
  return loss;
}
