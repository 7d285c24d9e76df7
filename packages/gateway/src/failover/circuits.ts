import { type Circuit, circuitFailed, circuitTried, isPassedOver } from "./circuit.ts";

/** What a circuit belongs to: a model as one provider calls it. */
export interface Circuited {
  readonly provider: { readonly name: string };
  readonly sentAs: string;
}

/** Told when a provider's circuit opens or closes. */
export type OnCircuit = (provider: string, change: "opened" | "closed") => void;

/** What a process found out of a model at a provider: how it stands, or nothing where it answers again. */
export interface CircuitEvent {
  readonly key: string;
  readonly circuit: Circuit | undefined;
}

/** Names of models come from callers. Of so many that fail at once the others are not remembered. */
const CIRCUITS_MOST = 1_000;

/** Which models fail where, as this process saw it, or others of its port told it. What answers takes no room. */
export class Circuits {
  readonly #circuits = new Map<string, Circuit>();
  readonly #onChange: OnCircuit;
  readonly #tell: (event: CircuitEvent) => void;

  /** `tell`: tells other processes what they need not find out for themselves. */
  constructor(onChange: OnCircuit = () => undefined, tell: (event: CircuitEvent) => void = () => undefined) {
    this.#onChange = onChange;
    this.#tell = tell;
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
    if (circuit) this.#set(keyOf(one), circuit, circuitTried(circuit, now));
  }

  answered(one: Circuited): void {
    const circuit = this.find(one);
    if (!circuit) return;
    this.#close(keyOf(one));
    if (circuit.until > 0) this.#tell({ key: keyOf(one), circuit: undefined });
  }

  failed(one: Circuited, now: number, retryAfterMs: number | undefined): void {
    const before = this.find(one);
    if (!before && this.#circuits.size >= CIRCUITS_MOST) return;
    this.#set(keyOf(one), before, circuitFailed(before, now, retryAfterMs));
  }

  /** Takes over what another process found out. Where this one knows more it keeps that. */
  hear({ key, circuit }: CircuitEvent): void {
    if (!circuit) {
      this.#close(key);
      return;
    }
    const before = this.#circuits.get(key);
    if (before ? before.until >= circuit.until : this.#circuits.size >= CIRCUITS_MOST) return;
    this.#keep(key, before, { ...circuit, isProbed: false });
  }

  /** Closes all of them: a changed configuration may have mended what failed. */
  forget(): void {
    for (const key of this.#circuits.keys()) this.#close(key);
  }

  /** Only what lets calls pass over it is told: how often something failed each process counts for itself. */
  #set(key: string, before: Circuit | undefined, circuit: Circuit): void {
    this.#keep(key, before, circuit);
    if (circuit.until > (before?.until ?? 0)) this.#tell({ key, circuit });
  }

  #keep(key: string, before: Circuit | undefined, circuit: Circuit): void {
    this.#circuits.set(key, circuit);
    if (circuit.opened > 0 && !before?.opened) this.#onChange(providerOf(key), "opened");
  }

  #close(key: string): void {
    const circuit = this.#circuits.get(key);
    this.#circuits.delete(key);
    if (circuit && circuit.opened > 0) this.#onChange(providerOf(key), "closed");
  }
}

function providerOf(key: string): string {
  return key.slice(0, key.indexOf("/"));
}

/** Names of providers have no slash. */
function keyOf({ provider, sentAs }: Circuited): string {
  return `${provider.name}/${sentAs}`;
}
