/** Layers and tokens for the tests of the feed-forward layer. */
import {
  dense,
  type FeedForward,
  IMAGE,
  makeFeedForward,
  modalityMoe,
  moiie,
  type PoolTable,
  TEXT,
  vanillaMoe,
} from "../../src/moe/mod.ts";
import { Random, type Tensor, tensor } from "../../src/tensor/mod.ts";
import { read } from "../nn/shared.ts";
import type { ReferenceLayer } from "./reference.ts";

/** Width of the tokens and inner width of the experts: no multiples of any tile. */
export const WIDTH = 12, HIDDEN = 10;

/** The variants by name. */
export const TABLES: Readonly<Record<string, PoolTable>> = {
  dense: dense(),
  "vanilla 4": vanillaMoe(),
  "modality 2 + 2": modalityMoe(),
  "modality 1 + 1": modalityMoe({ vision: 1, language: 1 }),
  "MoIIE 1/1/2": moiie(),
  "MoIIE 2/2/4": moiie({ vision: 2, language: 2, shared: 4 }),
  "MoIIE 3/3/2": moiie({ vision: 3, language: 3, shared: 2 }),
  "MoIIE 2/2/2 top-3": moiie({ vision: 2, language: 2, shared: 2, topK: 3 }),
  "one expert beside a routed pool": moiie({ vision: 0, language: 1, shared: 1, topK: 1 }),
  "probabilities as weights": moiie({ renormalise: false }),
};

/** Tokens as modalities: mixed, of one kind, or one alone. */
export const TOKENS: Readonly<Record<string, number[]>> = {
  "fewer than a tile": modalities(7),
  "more than a tile": modalities(111),
  "text only": new Array(50).fill(TEXT),
  "images only": new Array(50).fill(IMAGE),
  "one text token": [TEXT],
  "one image token": [IMAGE],
};

/** Text and image tokens mixed. */
export function modalities(count: number, seed = 1): number[] {
  const random = new Random(seed, "modality");
  return Array.from({ length: count }, () => random.bool() ? IMAGE : TEXT);
}

/** Random tokens. */
export function tokens(count: number, seed = 1, width = WIDTH): Tensor {
  return tensor(new Random(seed, "tokens").normals(count * width), { shape: [count, width] });
}

/** A layer whose routers have opinions. @param routerStd 0.02 in models */
export function layerOf(table: PoolTable, routerStd = 0.5, seed = 3): FeedForward {
  return makeFeedForward(new Random(seed, "layer"), table, {
    width: WIDTH,
    hidden: HIDDEN,
    routerStd,
  });
}

/** A modality tensor. */
export function modalityTensor(values: readonly number[]): Tensor {
  return tensor(Int32Array.from(values));
}

/** A layer's numbers for the loops. */
export async function referenceOf(layer: FeedForward): Promise<ReferenceLayer> {
  const [gateUp, down, ...routers] = await read(layer.gateUp, layer.down, ...layer.routers);
  const [, width, hidden] = layer.down.shape;
  return { table: layer.table, routers, gateUp, down, width, hidden };
}
