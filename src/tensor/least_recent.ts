/** A map that keeps the entries used last, so that a long notebook does not fill the memory. */

/** At most so many entries; the one that was not used for longest makes room for a new one. */
export class LeastRecent<V> {
  readonly #entries = new Map<string, V>();

  /**
   * @param most number of entries kept
   * @param drop called with every value that leaves
   */
  constructor(readonly most: number, readonly drop: (value: V) => void = () => {}) {}

  /** Number of entries. */
  get size(): number {
    return this.#entries.size;
  }

  /** The value of a key, which counts as used now. */
  get(key: string): V | undefined {
    const value = this.#entries.get(key);
    if (value !== undefined) {
      this.#entries.delete(key);
      this.#entries.set(key, value);
    }
    return value;
  }

  /** Adds a value; a former one of that key is dropped. */
  set(key: string, value: V): void {
    this.delete(key);
    for (const oldest of this.#entries.keys()) {
      if (this.#entries.size < this.most) break;
      this.delete(oldest);
    }
    this.#entries.set(key, value);
  }

  /** Drops the value of a key, if there is one. */
  delete(key: string): void {
    const value = this.#entries.get(key);
    if (value === undefined) return;
    this.#entries.delete(key);
    this.drop(value);
  }

  /** Drops everything. */
  clear(): void {
    for (const key of [...this.#entries.keys()]) this.delete(key);
  }
}
