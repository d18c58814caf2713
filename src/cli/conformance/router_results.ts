/**
 * What routers decided, in the form of the reference files.
 *
 * @module
 */
import { routersOf, type Routing } from "../../moe/mod.ts";

/** Numbers of a file, with which of their rows count. */
export interface RouterResult {
  /** Sizes. */
  readonly shape: readonly number[];
  /** Values. */
  readonly values: readonly number[];
  /** 0 for each row that is padding. */
  readonly rows?: readonly number[];
}

/**
 * Router outputs and chosen experts by name: `router_logits.0` and `selected.router_logits.0` of the
 * first mixture layer. With two routers `lan_` and `vis_`, of the tokens of one modality each, in
 * their order, and the experts counted within the router's pool.
 *
 * @param mask `[B × T]`, 0 for padding
 */
export async function routerResults(
  routings: readonly Routing[],
  mask: ArrayLike<number> | undefined,
): Promise<Map<string, RouterResult>> {
  const found = new Map<string, RouterResult>();
  for (const [layer, { table, modality, scores, chosen }] of routings.entries()) {
    if (!scores) continue;
    const kinds = await modality.data(), outputs = await scores.data();
    const choices = await chosen.data(), routers = routersOf(table);
    const count = table.experts.length, k = chosen.shape[1];
    routers.forEach(({ experts, modalities }, r) => {
      const tokens = Array.from(kinds.keys()).filter((t) => modalities.includes(Number(kinds[t])));
      const rows = mask && tokens.map((t) => mask[t]);
      const name = `${routers.length > 1 ? ["lan_", "vis_"][r] : ""}router_logits.${layer}`;
      found.set(name, {
        shape: [tokens.length, experts.length],
        values: tokens.flatMap((t) => experts.map((e) => Number(outputs[t * count + e]))),
        rows,
      });
      found.set(`selected.${name}`, {
        shape: [tokens.length, k],
        values: tokens.flatMap((t) =>
          Array.from({ length: k }, (_, i) => experts.indexOf(Number(choices[t * k + i])))
        ),
        rows,
      });
    });
  }
  return found;
}
