/** Routing in which experts choose tokens (Zhou et al. 2022, "Mixture-of-Experts with Expert Choice"). */
import {
  cast,
  expand,
  greaterEqual,
  less,
  logicalAnd,
  logicalOr,
  reshape,
  take,
  takeAlong,
  type Tensor,
  tensor,
  where,
} from "../tensor/mod.ts";
import { capacities, countBefore, type Tokens } from "./capacity.ts";
import { routersOf } from "./table.ts";

/** What experts choose by. */
export interface ExpertChoice extends Tokens {
  /** `[T, E]`, 0 for forbidden experts. */
  affinity: Tensor;
  /** Tokens that an expert takes from each router, in even shares k·T/n. Default 1. */
  capacity?: number;
}

/**
 * Every expert takes its best tokens of each router that scores it, of equal ones the first; padding
 * is taken by nobody, and tokens of a pool of one expert always by it.
 *
 * @returns `[T, largest pool]` i32: in the order of the token's pool the experts that took it, -1 for
 * the others
 */
export function expertsChoose(choice: ExpertChoice): Tensor {
  const { table, modality, valid, affinity, capacity = 1 } = choice;
  const [tokens, experts] = affinity.shape;
  const ints = (values: number[], ...shape: number[]) => tensor(new Int32Array(values), { shape });
  const counted = valid ? greaterEqual(valid, 1) : greaterEqual(modality, 0);
  const router = take(
    ints(table.pools.map((p) => p.router ?? -1), table.pools.length),
    modality,
  );
  const line = reshape(where(counted, router, -1), [tokens, 1]);
  const rank = countBefore(affinity, line);
  const room = routersOf(table).length > 0 ? take(capacities(choice, capacity), router) : router;
  const first = less(rank, expand(reshape(cast(room, "f32"), [tokens, 1]), [tokens, experts]));
  const alone = expand(reshape(less(router, 0), [tokens, 1]), [tokens, experts]);
  const taken = logicalAnd(
    expand(reshape(counted, [tokens, 1]), [tokens, experts]),
    logicalOr(alone, first),
  );
  const largest = Math.max(...table.pools.map((p) => p.experts.length));
  const pools = table.pools.flatMap(({ experts }) =>
    Array.from({ length: largest }, (_, i) => experts[i] ?? -1)
  );
  const pool = take(ints(pools, table.pools.length, largest), modality);
  const took = takeAlong(cast(taken, "f32"), where(greaterEqual(pool, 0), pool, 0), 1);
  return where(logicalAnd(greaterEqual(pool, 0), greaterEqual(took, 0.5)), pool, -1);
}
