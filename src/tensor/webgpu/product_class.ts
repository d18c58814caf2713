/** Classes of matrix products for which one kernel variant is best. */

/** How an operand lies in memory; see `MatmulOperand`. */
export type Layout = "k" | "across" | "any";

/** Products of about one size whose operands lie alike. */
export interface ProductClass {
  /** Matrices, and rows, columns and summands of each. */
  readonly batch: number;
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly a: Layout;
  readonly b: Layout;
}

/** Sizes above are as fast or slow as these. */
const LARGEST = 2048, MOST_MATRICES = 16;

/** The class of a product: sizes are rounded up to powers of two. */
export function productClass(product: ProductClass): ProductClass {
  const rounded = (size: number, most: number) =>
    Math.min(most, 2 ** Math.ceil(Math.log2(Math.max(1, size))));
  const { batch, m, n, k, a, b } = product;
  return {
    batch: rounded(batch, MOST_MATRICES),
    m: rounded(m, LARGEST),
    n: rounded(n, LARGEST),
    k: rounded(k, LARGEST),
    a,
    b,
  };
}

/** A class's name, such as "1x1024x512x256 k across" (batch, m, n, k). */
export function className({ batch, m, n, k, a, b }: ProductClass): string {
  return `${batch}x${m}x${n}x${k} ${a} ${b}`;
}
