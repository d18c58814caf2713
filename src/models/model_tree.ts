/** Models of every kind as trees of tensors: copies of them, and copies with other layers. */
import type { FeedForward } from "../moe/mod.ts";
import { parameters } from "../nn/mod.ts";
import { Tensor, tensor } from "../tensor/mod.ts";
import type { Llava } from "./llava.ts";
import type { AnyPublished } from "./load_published.ts";
import type { Language, Lvlm } from "./lvlm.ts";
import type { PublishedLanguage } from "./published_language.ts";

/** A published model with a language model in it. */
export type PublishedLvlm = PublishedLanguage | Llava;

/** A model with a language model in it: the library's own or a published one. */
export type LanguageOwner = Lvlm | PublishedLvlm;

/**
 * What a function that makes another model of one gives: a model for a model, and for a loaded
 * checkpoint the same record with the new model in it, but without the weights by their names.
 */
export type Remade<M> = M extends AnyPublished ? Omit<M, "weights"> : M;

/**
 * The model of a loaded checkpoint, or the model itself.
 *
 * @throws {RangeError} if it is a vision tower.
 */
export function ownerOf(model: PublishedLvlm | AnyPublished): PublishedLvlm;
/** The same where the library's own models are allowed. */
export function ownerOf(model: LanguageOwner | AnyPublished): LanguageOwner;
export function ownerOf(model: LanguageOwner | AnyPublished): LanguageOwner {
  if (!("kind" in model)) return model;
  if (model.kind !== "vision") return model.model;
  throw new RangeError("the checkpoint is of a vision tower: there is no language model in it");
}

/** Another model in the place of a model, or of that of a loaded checkpoint. */
export function remade<M extends LanguageOwner | AnyPublished>(
  model: M,
  made: LanguageOwner,
): Remade<M> {
  if (!("kind" in model)) return made as Remade<M>;
  const { weights: _, ...rest } = model as M & { weights?: unknown };
  return { ...rest, model: made } as unknown as Remade<M>;
}

/** The published language model: a LLaVA's, or the model itself. */
export function publishedPart(model: PublishedLvlm): PublishedLanguage {
  return "text" in model ? model.text : model;
}

/** The language model of any model. */
export function languageOf(model: LanguageOwner): Language {
  return "text" in model ? model.text.language : model.language;
}

/**
 * All tensors of a tree by path, of every type, buffers too. One that stands in two places, as a tied
 * head does, is named by the first.
 */
export function tensorsIn(tree: unknown): Map<string, Tensor> {
  const found = new Map<string, Tensor>(), seen = new Set<Tensor>();
  const visit = (node: unknown, path: string): void => {
    if (node instanceof Tensor) {
      if (!seen.has(node)) found.set(path, node);
      seen.add(node);
      return;
    }
    if (node === null || typeof node !== "object" || ArrayBuffer.isView(node)) return;
    for (const [key, child] of Object.entries(node)) visit(child, path ? `${path}.${key}` : key);
  };
  visit(tree, "");
  return found;
}

/**
 * A tree with the same settings and copies of the tensors, one after the other, so that little host
 * memory is needed. A tensor that stands in two places does so in the copy.
 *
 * @param copied what was copied before, by what it was copied from
 */
export async function copyTree<T>(tree: T, copied: Map<Tensor, Tensor> = new Map()): Promise<T> {
  const copy = async (node: unknown): Promise<unknown> => {
    if (node instanceof Tensor) {
      const { shape, dtype } = node;
      const made = copied.get(node) ?? tensor(await node.data(), { shape, dtype });
      copied.set(node, made);
      return made;
    }
    if (node === null || typeof node !== "object" || ArrayBuffer.isView(node)) return node;
    const entries: [string, unknown][] = [];
    for (const [key, child] of Object.entries(node)) entries.push([key, await copy(child)]);
    return Array.isArray(node) ? entries.map(([, child]) => child) : Object.fromEntries(entries);
  };
  return await copy(tree) as T;
}

/**
 * A copy of a model with other feed-forward layers.
 *
 * @param change the new layer in place of one, with weights of its own
 * @param share take the other weights themselves in place of copies
 */
export async function withLayers<M extends LanguageOwner>(
  model: M,
  change: (layer: FeedForward, index: number) => Promise<FeedForward>,
  share = false,
): Promise<M> {
  const copied = new Map<Tensor, Tensor>();
  const copy = async <T>(tree: T): Promise<T> => share ? tree : await copyTree(tree, copied);
  const { blocks, ...rest } = languageOf(model);
  const made = [];
  for (const [i, { ffn, ...block }] of blocks.entries()) {
    made.push({ ...await copy(block), ffn: await change(ffn, i) });
  }
  const language = { ...await copy(rest), blocks: made };
  const owner = "text" in model
    ? { ...await copy({ ...model, text: undefined }), text: { ...model.text, language } }
    : { ...await copy({ ...model, language: undefined }), language };
  parameters(owner); // names the new ones by path, for error messages
  return owner as unknown as M;
}
