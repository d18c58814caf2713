/**
 * What published models compute, by the names of the reference files.
 *
 * @module
 */
import {
  type AnyPublished,
  applyLlava,
  applyPublishedLanguage,
  applyVisionTower,
  type Llava,
  type LvlmOutputs,
  multiscaleFeatures,
  type PublishedLanguage,
  type PublishedVision,
  visionFeatures,
} from "../../models/mod.ts";
import { routerLoads, type Routing } from "../../moe/mod.ts";
import type { Safetensors } from "../../models/safetensors.ts";
import {
  add,
  crossEntropy,
  equal,
  mul,
  narrow,
  reshape,
  sum,
  type Tensor,
  where,
} from "../../tensor/mod.ts";
import type { FileEntry } from "./folder.ts";
import { leaf } from "./operation.ts";

/** Inputs by their names in a file, such as `input_ids`. */
export type Given = Readonly<Record<string, Tensor>>;

/** What a model computes of inputs. */
export interface Results {
  /** Tensors by name, without `out.`. */
  readonly tensors: ReadonlyMap<string, Tensor>;
  /** Routing of the mixture layers, of language models. */
  readonly routings: readonly Routing[];
}

/** A model of a folder. */
export interface Model {
  /** Computes everything that a file may hold. */
  readonly results: (given: Given, file: FileEntry) => Results;
  /** Whether it writes text. */
  readonly writes: boolean;
}

/** The inputs of a file: tensors `in.NAME`, or with another beginning. */
export function givenOf(file: FileEntry, data: Safetensors, prefix = "in."): Given {
  const names = Object.keys(file.tensors)
    .filter((name) => name.startsWith(prefix) && !name.slice(prefix.length).includes("."));
  return Object.fromEntries(names.map((name) => {
    const short = name.slice(prefix.length);
    return [short, leaf(data.tensor(name), short)];
  }));
}

/** What a published model computes. */
export function modelOf({ kind, model }: AnyPublished): Model {
  if (kind === "language") return languageModel(model);
  return kind === "vision" ? visionModel(model) : llavaModel(model);
}

function languageModel(model: PublishedLanguage): Model {
  return {
    writes: true,
    results: (given) => {
      const outputs = applyPublishedLanguage(model, {
        tokens: given.input_ids,
        embeddings: given.inputs_embeds,
        mask: given.attention_mask,
        positions: given.position_ids,
        modality: given.token_type_ids,
      }, { hidden: true });
      return languageResults(model, outputs, given, given.labels);
    },
  };
}

function llavaModel(model: Llava): Model {
  return {
    writes: true,
    results: (given) => {
      const { input_ids, attention_mask: mask, labels } = given;
      const outputs = applyLlava(model, {
        tokens: input_ids,
        pixels: given.pixel_values,
        mask,
        positions: given.position_ids,
      }, { hidden: true });
      // As published: no loss where there is padding, whatever the labels.
      const counted = mask && labels ? where(equal(mask, 0), -100, labels) : labels;
      const { tensors, routings } = languageResults(model.text, outputs, given, counted);
      const { imageFeatures } = outputs;
      return {
        routings,
        tensors: imageFeatures
          ? new Map([...tensors, ["image_hidden_states", imageFeatures]])
          : tensors,
      };
    },
  };
}

/** Logits, hidden states, attention probabilities, losses. */
function languageResults(
  { coefficients }: PublishedLanguage,
  { logits, routings, hiddenStates, attentions }: LvlmOutputs,
  given: Given,
  labels: Tensor | undefined,
): Results {
  const [batch, length] = (given.input_ids ?? given.inputs_embeds).shape;
  const classes = logits.shape[1], rows = batch * (length - 1);
  const all = reshape(logits, [batch, length, classes]);
  const tensors = new Map([["logits", all]]);
  numbered(tensors, "hidden_states", hiddenStates);
  numbered(tensors, "attentions", attentions);
  if (labels) {
    const loss = crossEntropy(
      reshape(narrow(all, 1, 0, length - 1), [rows, classes]),
      reshape(narrow(labels, 1, 1, length - 1), [rows]),
    );
    const names = coefficients.length > 1 ? ["aux_loss_lan", "aux_loss_vis"] : ["aux_loss"];
    let total = loss;
    routerLoads(routings).forEach((load, r) => {
      tensors.set(names[r], load.loss);
      total = add(total, mul(load.loss, coefficients[r]));
    });
    // The published mixtures count the balancing losses into their `loss`.
    tensors.set("loss", total).set("total_loss", total);
  }
  return { tensors, routings };
}

/** Names list entries `name.0`, `name.1`, … */
function numbered(into: Map<string, Tensor>, name: string, list: readonly Tensor[] = []): void {
  list.forEach((t, i) => into.set(`${name}.${i}`, t));
}

function visionModel(model: PublishedVision): Model {
  const { tower, config } = model;
  return {
    writes: false,
    results: (given, file) => {
      if (given.images) {
        return { tensors: multiscaleResults(model, given.images, file), routings: [] };
      }
      const { hiddenStates, attentions, last, pooled } = applyVisionTower(
        tower,
        config,
        given.pixel_values,
      );
      const tensors = new Map([["last_hidden_state", last]]);
      if (pooled) tensors.set("pooler_output", pooled);
      numbered(tensors, "hidden_states", hiddenStates);
      numbered(tensors, "attentions", attentions);
      const products = Object.entries(given).flatMap(([name, weight]) => {
        const part = projected(name, { last, pooled, hiddenStates });
        return part ? [sum(mul(part, weight))] : [];
      });
      if (products.length > 0) tensors.set("total_loss", products.reduce((a, b) => add(a, b)));
      return { tensors, routings: [] };
    },
  };
}

/** What an input `proj_last`, `proj_pool` or `proj_m2` (hidden state -2) is multiplied with. */
function projected(
  name: string,
  { last, pooled, hiddenStates }: { last: Tensor; pooled?: Tensor; hiddenStates: Tensor[] },
): Tensor | undefined {
  if (name === "proj_last") return last;
  if (name === "proj_pool") return pooled;
  const fromEnd = /^proj_m(\d+)$/.exec(name)?.[1];
  return fromEnd === undefined ? undefined : hiddenStates.at(-Number(fromEnd));
}

/** S² features; the description of the file says of which sizes and layer. */
function multiscaleResults(
  { tower, config }: PublishedVision,
  images: Tensor,
  { description, path }: FileEntry,
): Map<string, Tensor> {
  const said = (pattern: RegExp) => {
    const found = pattern.exec(description);
    if (!found) throw new SyntaxError(`${path}: the description should say ${pattern.source}`);
    return found[1];
  };
  const sizes: number[] = JSON.parse(said(/img_sizes (\[[\d, ]+\])/));
  const split = Number(said(/max_split_size (\d+)/));
  const layer = Number(said(/hidden_states\[(-?\d+)\]/));
  const features = multiscaleFeatures(
    images,
    { sizes, split },
    (pieces) => visionFeatures(tower, config, pieces, { layer, skip: tower.classToken ? 1 : 0 }),
  );
  return new Map([["features", features]]);
}
