/** Random numbers that a seed decides: the same seed, the same numbers on every machine. The generator is sfc32. */
export class Dice {
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;

  constructor(seed: number) {
    this.#a = Math.floor(seed / 2 ** 32) | 0;
    this.#b = seed | 0;
    this.#c = 0x9e3779b9 | 0;
    for (let i = 0; i < 12; i++) this.#next();
  }

  /** From 0 up to, not including, 1. */
  roll(): number {
    return this.#next() / 2 ** 32;
  }

  /** A whole number from `least` to `most`. */
  between(least: number, most: number): number {
    return least + Math.floor(this.roll() * (most - least + 1));
  }

  /** A whole number from `least` to `most` whose order of magnitude is what is drawn: small ones are as common as large ones. */
  magnitude(least: number, most: number): number {
    return Math.min(most, Math.floor(least * ((most + 1) / least) ** this.roll()));
  }

  chance(probability: number): boolean {
    return probability > 0 && this.roll() < probability;
  }

  pick<One>(list: readonly One[]): One {
    return list[this.between(0, list.length - 1)] as One;
  }

  /** Each of a list or not, by a chance of its own. */
  some<One>(list: readonly One[], probability: number): readonly One[] {
    return list.filter(() => this.chance(probability));
  }

  weighted<One>(choices: readonly (readonly [weight: number, one: One])[]): One {
    let left = this.roll() * choices.reduce((sum, [weight]) => sum + weight, 0);
    for (const [weight, one] of choices) {
      left -= weight;
      if (left < 0) return one;
    }
    return (choices[choices.length - 1] as (typeof choices)[number])[1];
  }

  #next(): number {
    const sum = (this.#a + this.#b + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = ((this.#c << 21) | (this.#c >>> 11)) + sum;
    return sum >>> 0;
  }
}
