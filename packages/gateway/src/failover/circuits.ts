import { type Circuit, circuitFailed, circuitTried, isPassedOver } from "./circuit.ts";

/** What a circuit belongs to: a model as one provider calls it. */
export interface Circuited {
  readonly provider: { readonly name: string };
  readonly sentAs: string;
}

/** Told when a provider's circuit opens or closes. */
export type OnCircuit = (provider: string, change: "opened" | "closed") => void;

/** Names of models come from callers. Of so many that fail at once the others are not remembered. */
const CIRCUITS_MOST = 1_000;

/** Which models fail where, as this process saw it. What answers takes no room. */
export class Circuits {
  readonly #circuits = new Map<string, Circuit>();
  readonly #onChange: OnCircuit;

  constructor(onChange: OnCircuit = () => undefined) {
    this.#onChange = onChange;
  }

  /** Nothing for what did not fail lately. */
  find(one: Circuited): Circuit | undefined {
    return this.#circuits.size === 0 ? undefined : this.#circuits.get(keyOf(one));
  }

  isPassedOver(one: Circuited, now: number): boolean {
    return isPassedOver(this.find(one), now);
  }

  /** A call goes there. */
  tried(one: Circuited, now: number): void {
    const circuit = this.find(one);
    if (circuit) this.#circuits.set(keyOf(one), circuitTried(circuit, now));
  }

  answered(one: Circuited): void {
    const circuit = this.find(one);
    if (!circuit) return;
    this.#circuits.delete(keyOf(one));
    if (circuit.opened > 0) this.#onChange(one.provider.name, "closed");
  }

  failed(one: Circuited, now: number, retryAfterMs: number | undefined): void {
    const before = this.find(one);
    if (!before && this.#circuits.size >= CIRCUITS_MOST) return;
    const circuit = circuitFailed(before, now, retryAfterMs);
    this.#circuits.set(keyOf(one), circuit);
    if (circuit.opened > 0 && !before?.opened) this.#onChange(one.provider.name, "opened");
  }

  /** Closes all of them: a changed configuration may have mended what failed. */
  forget(): void {
    for (const [key, { opened }] of this.#circuits) if (opened > 0) this.#onChange(key.slice(0, key.indexOf("/")), "closed");
    this.#circuits.clear();
  }
}

/** Names of providers have no slash. */
function keyOf({ provider, sentAs }: Circuited): string {
  return `${provider.name}/${sentAs}`;
}
