/** What takes a while is kept so many times as long as it took: then looking at it takes a twentieth of the time of calls at the most. */
const KEPT_TIMES = 20;
const KEPT_MOST = 64;

/** Answers that grow with the number of users, and are asked for again and again by every open screen. What is quickly made is made anew. */
export class Kept<Value> {
  readonly #values = new Map<string, { readonly value: Value; readonly until: number }>();

  async read(key: string, make: () => Value | Promise<Value>): Promise<Value> {
    const startedAt = performance.now();
    const known = this.#values.get(key);
    if (known && startedAt < known.until) return known.value;
    const value = await make();
    const endedAt = performance.now();
    if (this.#values.size >= KEPT_MOST) this.#values.clear();
    this.#values.set(key, { value, until: endedAt + KEPT_TIMES * (endedAt - startedAt) });
    return value;
  }
}
