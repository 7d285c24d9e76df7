import type { BoundLimit, ReserveResult, Standing } from "../domain/command.ts";
import { PurserError } from "../errors.ts";
import { createLeasedStore } from "../stores/leased/index.ts";
import { createMemoryStore } from "../stores/memory.ts";
import type { LeasingStore, Store } from "../stores/store.ts";
import { sampleCall, sampleLimit, sampleSettlement } from "./sample-calls.ts";
import { VirtualTime } from "./virtual-time.ts";

export interface SimulationOptions {
  readonly seed: number;
  readonly gateways: number;
  /** Of all gateways together. */
  readonly callsPerSecond: number;
  readonly durationMs: number;
  /** What all calls ask for, as a multiple of the limit. */
  readonly demand: number;
  /** Whether gateways take allotments, or ask the store for every call. */
  readonly leased?: boolean;
  /** Gateways that die with calls in flight, spread over the time. Another one comes up in the place of each. */
  readonly crashes?: number;
  /** Times in which the store cannot be reached. */
  readonly outages?: readonly { readonly fromMs: number; readonly toMs: number }[];
  /** How often a message to the store or its answer is lost. */
  readonly lost?: number;
  readonly reportMs?: number;
}

/** What came of a simulation. Amounts are parts of the limit. */
export interface SimulationOutcome {
  readonly calls: number;
  readonly admitted: number;
  readonly failed: number;
  /** Operations of the shared store. */
  readonly operations: number;
  readonly verbs: Readonly<Record<string, number>>;
  /** What was used at most at any moment, with what calls in flight may still use. Above 1 there was overspending. */
  readonly peak: number;
  /** What the shared store had spent and held at most. */
  readonly peakCounted: number;
  /** What providers delivered in the end, and what was charged for it. */
  readonly used: number;
  readonly charged: number;
  readonly heldInTheEnd: number;
  /** What was used, in flight included, when a call was first refused until the reset; nothing where none was. */
  readonly usedAtFirstFinal: number | undefined;
  readonly finalRefusals: number;
  /** Of these, the ones of calls that would have fitted what was not spent. */
  readonly prematureFinal: number;
  readonly busyRefusals: number;
  /** Of these, the ones of calls for which there was room, were nothing allotted. */
  readonly prematureBusy: number;
  /** How long calls waited for the store, on average and at most. */
  readonly waitMs: number;
  readonly waitMostMs: number;
  readonly errors: readonly unknown[];
  /** The whole ledger of the shared store as text: the same for the same seed. */
  readonly ledger: string;
}

const START = Date.UTC(2026, 10, 22, 12);
const ESTIMATE = 1_000;
const LEASE_MS = 10 * 60_000;

/** Several gateways that share one store and one limit, for a while, from a seed. Rates follow Zipf's law, estimates are log-normal. */
export function simulateLeases(options: SimulationOptions): Promise<SimulationOutcome> {
  return new Simulation(options).run();
}

class Simulation {
  readonly #options: SimulationOptions;
  readonly #time = new VirtualTime(START);
  readonly #roll: () => number;
  readonly #shared: LeasingStore;
  readonly #limit: BoundLimit;
  readonly #limits: readonly BoundLimit[];
  readonly #gateways: { isAlive: boolean; store: Store }[] = [];
  readonly #errors: unknown[] = [];
  #names = 0;
  #calls = 0;
  #admitted = 0;
  #failed = 0;
  readonly #operations: Record<string, number> = {};
  #spent = 0;
  #inFlight = 0;
  #peak = 0;
  #peakCounted = 0;
  #firstFinal: number | undefined;
  #final = 0;
  #prematureFinal = 0;
  #busy = 0;
  #prematureBusy = 0;
  #waited = 0;
  #waitMost = 0;

  constructor(options: SimulationOptions) {
    this.#options = options;
    this.#roll = randomFrom(options.seed);
    this.#shared = createMemoryStore({ now: this.#time.now });
    const asked = options.callsPerSecond * (options.durationMs / 1_000) * ESTIMATE * USED_MEAN;
    this.#limit = sampleLimit({ amount: Math.round(asked / options.demand), resetsAt: START + 86_400_000 });
    const requests = sampleLimit({ budget: "team", unit: "requests", amount: 1_000_000_000 });
    this.#limits = [this.#limit, requests, sampleLimit({ budget: "watched", amount: 1e15, enforced: false })];
  }

  async run(): Promise<SimulationOutcome> {
    const { gateways, callsPerSecond, durationMs, crashes = 0 } = this.#options;
    const end = START + durationMs;
    const weights = Array.from({ length: gateways }, (_, i) => 1 / (i + 1));
    const total = weights.reduce((a, b) => a + b, 0);
    for (let i = 0; i < gateways; i++) {
      this.#gateways.push(this.#start());
      this.#arrivals(i, (callsPerSecond * (weights[i] as number)) / total / 1_000, end);
    }
    for (let i = 0; i < crashes; i++) this.#time.after(((i + 0.5) / crashes) * durationMs, () => this.#crash());
    const expire = () => {
      void this.#shared.expire();
      this.#time.after(1_000, expire);
    };
    expire();
    await this.#time.runUntil(end, () => this.#check());
    await this.#time.runUntil(end + 2 * LEASE_MS, () => this.#check());
    const closing = this.#gateways.map(({ store }) => store.close());
    await this.#time.runUntil(this.#time.now() + 2 * LEASE_MS, () => this.#check());
    await Promise.all(closing);
    return this.#outcome();
  }

  #start(): { isAlive: boolean; store: Store } {
    const gateway = { isAlive: true, store: this.#shared as Store };
    const remote = this.#remote(gateway);
    const { leased = true, reportMs } = this.#options;
    gateway.store = leased
      ? createLeasedStore(remote, {
          now: this.#time.now,
          timers: { after: (delayMs, work) => this.#time.after(delayMs, () => gateway.isAlive && work()) },
          newId: () => `lease-${++this.#names}`,
          onError: (error) => this.#errors.push(error),
          ...(reportMs !== undefined && { reportMs }),
        })
      : remote;
    return gateway;
  }

  /** The shared store at the other end of a network that takes time, loses messages and fails. */
  #remote(gateway: { readonly isAlive: boolean }): LeasingStore {
    const ask = async <Result>(verb: string, work: () => Promise<Result>): Promise<Result> => {
      this.#operations[verb] = (this.#operations[verb] ?? 0) + 1;
      await this.#time.sleep(this.#delay());
      if (!gateway.isAlive) return new Promise(() => undefined);
      if (this.#isLost()) return this.#unavailable();
      const result = await work();
      await this.#time.sleep(this.#delay());
      if (!gateway.isAlive) return new Promise(() => undefined);
      return this.#isLost() ? this.#unavailable() : result;
    };
    const shared = this.#shared;
    return {
      reserve: (command) => ask("reserve", () => shared.reserve(command)),
      extend: (command) => ask("extend", () => shared.extend(command)),
      settle: (command) => ask("settle", () => shared.settle(command)),
      release: (command) => ask("release", () => shared.release(command)),
      lease: (command) => ask("lease", () => shared.lease(command)),
      record: (entry) => ask("record", () => shared.record(entry)),
      counters: (filter) => ask("counters", () => shared.counters(filter)),
      standings: (limits) => ask("standings", () => shared.standings(limits)),
      entries: (query) => ask("entries", () => shared.entries(query)),
      expire: () => shared.expire(),
      close: async () => undefined,
    };
  }

  #isLost(): boolean {
    const at = this.#time.now() - START;
    if (this.#options.outages?.some(({ fromMs, toMs }) => at >= fromMs && at < toMs)) return true;
    return this.#options.lost !== undefined && this.#roll() < this.#options.lost;
  }

  async #unavailable(): Promise<never> {
    throw new PurserError("store_unavailable", "The network has failed.");
  }

  #delay(): number {
    return 0.2 + 0.8 * logNormal(this.#roll, 0.8);
  }

  #arrivals(gateway: number, rate: number, end: number): void {
    const next = () => {
      if (this.#time.now() >= end) return;
      void this.#call(gateway);
      this.#time.after(-Math.log(1 - this.#roll()) / rate, next);
    };
    this.#time.after(-Math.log(1 - this.#roll()) / rate, next);
  }

  async #call(index: number): Promise<void> {
    const gateway = this.#gateways[index] as { isAlive: boolean; store: Store };
    const id = `call-${++this.#calls}`;
    const estimate = Math.max(1, Math.round(ESTIMATE * logNormal(this.#roll, 1)));
    const used = Math.round(estimate * USED_MEAN * 2 * this.#roll());
    const askedAt = this.#time.now();
    let result: ReserveResult;
    try {
      result = await gateway.store.reserve(sampleCall({ id, limits: this.#limits, input: estimate, leaseMs: LEASE_MS }));
    } catch {
      this.#failed++;
      return;
    }
    const wait = this.#time.now() - askedAt;
    this.#waited += wait;
    this.#waitMost = Math.max(this.#waitMost, wait);
    if (!gateway.isAlive) return;
    if (result.outcome !== "reserved") return this.#refused(result, estimate);
    this.#admitted++;
    this.#inFlight += estimate;
    this.#peak = Math.max(this.#peak, this.#spent + this.#inFlight);
    await this.#time.sleep(4_000 * logNormal(this.#roll, 0.7));
    // The provider ends its answer whether the gateway is alive or not.
    this.#inFlight -= estimate;
    this.#spent += used;
    if (gateway.isAlive) await this.#settle(gateway, id, used);
  }

  async #settle(gateway: { readonly isAlive: boolean; readonly store: Store }, id: string, used: number): Promise<void> {
    try {
      await gateway.store.settle(sampleSettlement(id, used));
    } catch {
      await this.#time.sleep(1_000);
      if (gateway.isAlive) await this.#settle(gateway, id, used);
    }
  }

  #refused(result: ReserveResult, estimate: number): void {
    if (result.outcome !== "refused") {
      this.#errors.push(result);
      return;
    }
    const { spent, held, amount, allotted = 0 } = result.standings[result.failing] as Standing;
    if (result.until > 0) {
      this.#final++;
      this.#firstFinal ??= this.#spent + this.#inFlight;
      // What died with a gateway is charged, whatever was used.
      const charged = this.#options.crashes ? Math.max(spent, this.#spent) : this.#spent;
      if (estimate <= amount - charged) this.#prematureFinal++;
    } else {
      this.#busy++;
      if (estimate <= amount - spent - held + allotted) this.#prematureBusy++;
    }
  }

  #crash(): void {
    const index = Math.floor(this.#roll() * this.#gateways.length);
    const gateway = this.#gateways[index];
    if (!gateway) return;
    gateway.isAlive = false;
    this.#gateways[index] = this.#start();
  }

  #check(): void {
    void this.#shared.standings([this.#limit]).then(([standing]) => {
      this.#peakCounted = Math.max(this.#peakCounted, (standing?.spent ?? 0) + (standing?.held ?? 0));
    });
  }

  async #outcome(): Promise<SimulationOutcome> {
    const [standing] = await this.#shared.standings([this.#limit]);
    const ledger: string[] = [];
    for (let after = 0; ; ) {
      const page = await this.#shared.entries({ after, most: 10_000 });
      ledger.push(...page.map((entry) => JSON.stringify(entry)));
      const last = page.at(-1);
      if (!last) break;
      after = last.seq;
    }
    const { amount } = this.#limit;
    return {
      calls: this.#calls,
      admitted: this.#admitted,
      failed: this.#failed,
      operations: Object.values(this.#operations).reduce((a, b) => a + b, 0),
      verbs: this.#operations,
      peak: this.#peak / amount,
      peakCounted: this.#peakCounted / amount,
      used: this.#spent / amount,
      charged: (standing?.spent ?? 0) / amount,
      heldInTheEnd: (standing?.held ?? 0) / amount,
      usedAtFirstFinal: this.#firstFinal === undefined ? undefined : this.#firstFinal / amount,
      finalRefusals: this.#final,
      prematureFinal: this.#prematureFinal,
      busyRefusals: this.#busy,
      prematureBusy: this.#prematureBusy,
      waitMs: this.#waited / Math.max(1, this.#calls),
      waitMostMs: this.#waitMost,
      errors: this.#errors,
      ledger: ledger.join("\n"),
    };
  }
}

/** What a call uses of its estimate on average. */
const USED_MEAN = 0.4;

/** The generator `mulberry32`: numbers from 0 up to 1, the same for the same seed. */
function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** Log-normal with the mean 1. */
function logNormal(roll: () => number, sigma: number): number {
  const normal = Math.sqrt(-2 * Math.log(1 - roll())) * Math.cos(2 * Math.PI * roll());
  return Math.exp(sigma * normal - (sigma * sigma) / 2);
}
