/** Parameters of a loaded model, counted tensor by tensor. */
import type { FeedForward } from "../moe/mod.ts";
import type { AnyPublished } from "./load_published.ts";
import { ownerOf, type PublishedLvlm, publishedPart, tensorsIn } from "./model_tree.ts";
import type { Summary, SummaryRow } from "./summary.ts";

const countOf = (tree: unknown): number =>
  [...tensorsIn(tree).values()].reduce((sum, t) => sum + t.size, 0);

/** Numbers such as 1, 3, 5 as `1, 3, 5`, and long lists as `1, 3, … 31`. */
const listed = (all: readonly number[]): string =>
  all.length > 6 ? `${all[0]}, ${all[1]}, … ${all.at(-1)}` : all.join(", ");

/**
 * Counts the parameters of a published model, dense or upcycled, part by part, and those that one token
 * uses: top-k experts in place of all, the larger router of each layer. As the paper counts, vision
 * encoder, connector and both embedding matrices are active; a tied head is counted once.
 *
 * @param published a language model, a LLaVA, or a loaded checkpoint of one
 * @throws {RangeError} if it is a vision tower.
 */
export function summarizePublished(published: PublishedLvlm | AnyPublished): Summary {
  const model: PublishedLvlm = ownerOf(published), { language, config } = publishedPart(model);
  const c = config.language, { blocks, embedding, head } = language;
  const rows: SummaryRow[] = [];
  const add = (part: string, shape: string, total: number, active = total): void => {
    if (total > 0) rows.push({ part, shape, total, active });
  };
  if ("text" in model) {
    const { vision: { tower, config: v }, projector, scales = [v.imageSize] } = model;
    const sizes = `${v.layers} blocks of ${v.width}, pictures of ${scales.join(", ")} pixels`;
    add("vision encoder", `${sizes}, patches of ${v.patch}`, countOf(tower));
    add(
      "connector",
      `${v.width * scales.length} → ${c.width} → ${c.width}`,
      countOf(projector),
    );
  }
  add("token embedding", `${c.vocabulary} × ${c.width}`, embedding.size);
  const grouped = c.keyHeads && c.keyHeads !== c.heads ? `, ${c.keyHeads} of keys and values` : "";
  const attention = countOf(blocks.map((b) => b.attention));
  add("attention", `${blocks.length} layers, ${c.heads} heads${grouped}`, attention);
  const norms = countOf([language.norm, ...blocks.map((b) => [b.norm1, b.norm2])]);
  add("norms", `${2 * blocks.length + 1} × ${c.width}`, norms);
  const isMixture = ({ table }: FeedForward) => table.experts.length > 1;
  const dense = blocks.filter((b) => !isMixture(b.ffn)).map((b) => b.ffn);
  add("dense FFN", `${dense.length} layers of ${c.hidden}`, countOf(dense));
  const layers = [...blocks.keys()].filter((i) => isMixture(blocks[i].ffn));
  if (layers.length > 0) addMixtures(add, layers, layers.map((i) => blocks[i].ffn));
  if (head.weight !== embedding) {
    add("language head", `${c.width} × ${c.vocabulary}`, countOf(head));
  }
  const sum = (key: "total" | "active") => rows.reduce((n, r) => n + r[key], 0);
  const variant = layers.length > 0 ? blocks[layers[0]].ffn.table.variant : "dense";
  return { title: `published, ${variant}`, rows, total: sum("total"), active: sum("active") };
}

function addMixtures(
  add: (part: string, shape: string, total: number, active?: number) => void,
  layers: readonly number[],
  mixtures: readonly FeedForward[],
): void {
  const [{ table }] = mixtures, names = table.experts.map((e) => e.name).join(" ");
  const experts = countOf(mixtures.map(({ gateUp, down }) => [gateUp, down]));
  add(
    `experts (${table.variant})`,
    `layers ${listed(layers)}: ${names}, top-${table.topK}`,
    experts,
    experts * table.topK / table.experts.length,
  );
  const always = mixtures.map((m) => m.alwaysOn ?? []);
  add("always-on experts", `${layers.length} layers`, countOf(always));
  const largest = mixtures.reduce((n, m) => n + Math.max(0, ...m.routers.map((r) => r.size)), 0);
  add(
    "routers",
    `${layers.length} layers, ${mixtures[0].routers.length} each`,
    countOf(mixtures.map((m) => m.routers)),
    largest,
  );
}
