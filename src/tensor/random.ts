/**
 * Counter-based random numbers: Philox4x32-10.
 *
 * Follows J. K. Salmon, M. A. Moraes, R. O. Dror and D. E. Shaw, "Parallel random numbers: as easy
 * as 1, 2, 3" (SC 2011), and is checked against the known-answer vectors of their Random123
 * library. A counter-based generator has no state to carry along: block `i` of a stream is a pure
 * function of the seed, the stream's name and `i`. Naming a stream per purpose ("layer 3",
 * "dropout", "picture 17") keeps every part of a run reproducible on its own, whatever the other
 * parts draw.
 *
 * @module
 */

const MULTIPLIER_0 = 0xd2511f53;
const MULTIPLIER_1 = 0xcd9e8d57;
const WEYL_0 = 0x9e3779b9;
const WEYL_1 = 0xbb67ae85;
const ROUNDS = 10;

/** High 32 bits of the unsigned 64-bit product; the low ones are `Math.imul(a, b)`. */
function multiplyHigh(a: number, b: number): number {
  const aLow = a & 0xffff, aHigh = a >>> 16;
  const bLow = b & 0xffff, bHigh = b >>> 16;
  const low = aLow * bLow;
  const middle = aHigh * bLow + (low >>> 16);
  const cross = aLow * bHigh + (middle & 0xffff);
  // Each partial sum stays below 2^33, where doubles are exact; division keeps the bits that
  // `>>> 16` would lose above 2^32.
  return (aHigh * bHigh + Math.floor(middle / 65536) + Math.floor(cross / 65536)) >>> 0;
}

function philoxInto(out: Uint32Array, counter: ArrayLike<number>, key: ArrayLike<number>): void {
  let c0 = counter[0] >>> 0, c1 = counter[1] >>> 0, c2 = counter[2] >>> 0, c3 = counter[3] >>> 0;
  let k0 = key[0] >>> 0, k1 = key[1] >>> 0;
  for (let round = 0; round < ROUNDS; round++) {
    const high0 = multiplyHigh(MULTIPLIER_0, c0), low0 = Math.imul(MULTIPLIER_0, c0);
    const high1 = multiplyHigh(MULTIPLIER_1, c2), low1 = Math.imul(MULTIPLIER_1, c2);
    c0 = (high1 ^ c1 ^ k0) >>> 0;
    c1 = low1 >>> 0;
    c2 = (high0 ^ c3 ^ k1) >>> 0;
    c3 = low0 >>> 0;
    k0 = (k0 + WEYL_0) >>> 0;
    k1 = (k1 + WEYL_1) >>> 0;
  }
  out[0] = c0;
  out[1] = c1;
  out[2] = c2;
  out[3] = c3;
}

/**
 * The Philox4x32-10 block function: four random 32-bit words from a counter and a key.
 *
 * @param counter four 32-bit words, the block's position
 * @param key two 32-bit words, the stream's key
 * @returns four 32-bit words
 * @throws RangeError when the counter has not four words or the key has not two
 */
export function philox(counter: ArrayLike<number>, key: ArrayLike<number>): Uint32Array {
  if (counter.length !== 4 || key.length !== 2) {
    throw new RangeError(
      `philox() takes a counter of 4 words and a key of 2, got ${counter.length} and ${key.length}`,
    );
  }
  const out = new Uint32Array(4);
  philoxInto(out, counter, key);
  return out;
}

/**
 * A 32-bit hash of a string (FNV-1a over UTF-16 code units, then murmur3's finaliser).
 *
 * Stable across runs and machines. Used to key random streams by name and to decide by name what
 * is held out of training; not a cryptographic hash.
 *
 * @param text any string
 * @param basis start value, to derive independent hashes of the same text
 * @returns an unsigned 32-bit integer
 */
export function hashString(text: string, basis = 0x811c9dc5): number {
  let hash = basis;
  for (let i = 0; i < text.length; i++) {
    hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

/**
 * A named stream of random numbers.
 *
 * Two streams with the same seed and name give the same numbers, bit for bit, for integers and
 * uniforms on any engine. {@linkcode Random.normal} goes through `Math.log`, `Math.sin` and
 * `Math.cos`, whose last bit the language leaves open: normals are the same on every machine that
 * runs V8 (Deno, Chrome, Node.js), which computes these functions in software.
 *
 * @example
 * ```ts
 * import { Random } from "@moiie/lab/tensor";
 * const random = new Random(7, "weights");
 * const layer = random.fork("layer 3"); // independent of how much `random` has drawn
 * layer.normals(16, 0, 0.02);
 * ```
 */
export class Random {
  /** The seed shared by all streams of a run. */
  readonly seed: number;
  /** The stream's name: the names given to {@linkcode Random.fork}, joined by "/". */
  readonly stream: string;
  #key: [number, number];
  #counter: [number, number, number, number];
  #block: Uint32Array = new Uint32Array(4);
  #used = 4;
  #spareNormal: number | undefined;

  /**
   * Begins a stream.
   *
   * @param seed a whole number from 0 to 2^53 - 1
   * @param stream the stream's name
   * @throws RangeError when the seed is not such a number
   */
  constructor(seed: number, stream = "") {
    if (!Number.isSafeInteger(seed) || seed < 0) {
      throw new RangeError(`a seed is a whole number from 0 to 2^53 - 1, got ${seed}`);
    }
    this.seed = seed;
    this.stream = stream;
    this.#key = [seed >>> 0, Math.floor(seed / 2 ** 32)];
    this.#counter = [0, 0, hashString(stream), hashString(stream, 0x9dc5811c)];
  }

  /** The next 32 random bits, as an unsigned integer. */
  uint32(): number {
    if (this.#used === 4) {
      philoxInto(this.#block, this.#counter, this.#key);
      this.#counter[0] = (this.#counter[0] + 1) >>> 0;
      if (this.#counter[0] === 0) this.#counter[1] = (this.#counter[1] + 1) >>> 0;
      this.#used = 0;
    }
    return this.#block[this.#used++];
  }

  /** A number from [0, 1), a multiple of 2^-53. */
  uniform(): number {
    const high = this.uint32() >>> 5, low = this.uint32() >>> 6;
    return (high * 2 ** 26 + low) / 2 ** 53;
  }

  /**
   * A whole number from 0 to n - 1, each equally likely (no modulo bias).
   *
   * @throws RangeError when n is not a whole number from 1 to 2^32
   */
  int(n: number): number {
    if (!Number.isInteger(n) || n < 1 || n > 2 ** 32) {
      throw new RangeError(`int(n) needs a whole n from 1 to 2^32, got ${n}`);
    }
    const limit = 2 ** 32 - (2 ** 32 % n);
    let bits = this.uint32();
    while (bits >= limit) bits = this.uint32();
    return bits % n;
  }

  /** A number from the standard normal distribution (Box-Muller; within ±6.7). */
  normal(): number {
    if (this.#spareNormal !== undefined) {
      const spare = this.#spareNormal;
      this.#spareNormal = undefined;
      return spare;
    }
    const radius = Math.sqrt(-2 * Math.log((this.uint32() + 1) / 2 ** 32));
    const angle = 2 * Math.PI * (this.uint32() / 2 ** 32);
    this.#spareNormal = radius * Math.sin(angle);
    return radius * Math.cos(angle);
  }

  /** True with probability p. */
  bool(p = 0.5): boolean {
    return this.uniform() < p;
  }

  /**
   * One of the elements, each equally likely.
   *
   * @throws RangeError when there is nothing to pick from
   */
  pick<T>(xs: ArrayLike<T>): T {
    if (xs.length === 0) throw new RangeError("pick() from an empty list");
    return xs[this.int(xs.length)];
  }

  /** Shuffles in place (Fisher-Yates) and returns the same array. */
  shuffle<A extends { length: number; [index: number]: unknown }>(xs: A): A {
    for (let i = xs.length - 1; i > 0; i--) {
      const j = this.int(i + 1);
      [xs[i], xs[j]] = [xs[j], xs[i]];
    }
    return xs;
  }

  /** A stream of the same seed named `this.stream/stream`, starting at its own beginning. */
  fork(stream: string): Random {
    return new Random(this.seed, this.stream === "" ? stream : `${this.stream}/${stream}`);
  }

  /** n single-precision numbers spread evenly over [lo, hi]; 24 random bits each. */
  uniforms(n: number, lo = 0, hi = 1): Float32Array {
    const out = new Float32Array(n);
    for (let i = 0; i < n; i++) out[i] = lo + (hi - lo) * ((this.uint32() >>> 8) / 2 ** 24);
    return out;
  }

  /** n single-precision numbers from the normal distribution. */
  normals(n: number, mean = 0, std = 1): Float32Array {
    const out = new Float32Array(n);
    for (let i = 0; i < n; i++) out[i] = mean + std * this.normal();
    return out;
  }
}
