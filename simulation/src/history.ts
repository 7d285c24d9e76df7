/** What of an event tells it from others. */
export type Detail = string | number | boolean | undefined;

type Happened = readonly [at: number, what: string, details: readonly Detail[]];

const KEPT = 80;
const PRIME = 0x01000193;

/** What happened: the last events in words, and all of them as one number, which tells two runs apart. */
export class History {
  readonly #kept: Happened[] = [];
  #hash = 0x811c9dc5 | 0;
  events = 0;

  add(at: number, what: string, ...details: readonly Detail[]): void {
    this.#kept[this.events++ % KEPT] = [at, what, details];
    this.#mix(at);
    this.#mixText(what);
    for (const detail of details) {
      if (typeof detail === "number") this.#mix(detail);
      else if (typeof detail === "string") this.#mixText(detail);
      else this.#mix(detail ? 1 : 0);
    }
  }

  /** All events as one number. */
  get hash(): string {
    return (this.#hash >>> 0).toString(16).padStart(8, "0");
  }

  /** The last events, one a line. */
  lines(): readonly string[] {
    const first = Math.max(0, this.events - KEPT);
    return Array.from({ length: this.events - first }, (_, i) => {
      const [at, what, details] = this.#kept[(first + i) % KEPT] as Happened;
      const text = details.filter((detail) => detail !== undefined).join(" ");
      return `${first + i + 1}. ${new Date(at).toISOString()} ${what} ${text}`;
    });
  }

  #mix(value: number): void {
    this.#hash = Math.imul(this.#hash ^ (value | 0), PRIME);
    this.#hash = Math.imul(this.#hash ^ Math.floor(value / 2 ** 32), PRIME);
  }

  #mixText(text: string): void {
    let hash = this.#hash;
    for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), PRIME);
    this.#hash = hash;
  }
}
