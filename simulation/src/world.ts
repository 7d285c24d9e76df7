import { PurserError, type Store } from "../../packages/core/dist/index.js";
import { createMemoryStore } from "../../packages/core/dist/stores/memory.js";
import { DurableStore } from "../../packages/core/dist/stores/sqlite/durable-store.js";
import type { PreparedBody } from "./bodies.js";
import { Dice } from "./dice.js";
import { Disk } from "./disk.js";
import { Exchange } from "./exchange.js";
import { requestOf } from "./failover-law.js";
import { SimulatedGateway } from "./gateway.js";
import { History } from "./history.js";
import { Laws } from "./laws.js";
import { MODELS, type Model, OTHER_PROVIDERS, PROVIDERS } from "./models.js";
import { Neighbour } from "./neighbour.js";
import { Network } from "./network.js";
import { type Configuration, changedPlan, configurationOf, planFavour, TASKS, TEAMS, USERS } from "./plan.js";
import { seenOf } from "./plan-adjusting.js";
import type { Breakable } from "./planted-faults.js";
import { Program } from "./program.js";
import { Providers } from "./providers.js";
import { type RemoteServer, RemoteStore, remoteServer } from "./remote-store.js";
import { attemptsMost } from "./routes.js";
import { drawScenario, type Scenario } from "./scenario.js";
import { Violation } from "./violation.js";
import { installVirtualTime, Process, VirtualTime } from "./virtual-time.js";
import { watchStore } from "./watched-store.js";

const MINUTE_MS = 60_000;
/** Longer than any lease, so that whatever is held ends. */
const LEASES_OVER_MS = 15 * MINUTE_MS;
/** By then everything has ended, or never will. */
const QUIET_WITHIN_MS = 90 * MINUTE_MS;

export interface WorldOptions {
  readonly seed: number;
  readonly minutes: number;
  readonly bodies: readonly PreparedBody[];
  /** What is not to be drawn. */
  readonly scenario?: Partial<Scenario>;
  /** Parts of the product that are broken, to show that the laws find it. */
  readonly broken?: Partial<Breakable>;
}

/** What became of a simulation. */
export interface Outcome {
  readonly seed: number;
  readonly requests: number;
  readonly events: number;
  readonly checks: number;
  readonly hash: string;
  readonly failure: Failure | undefined;
}

/** What went wrong, and what happened before. */
export interface Failure {
  readonly error: unknown;
  /** After how many events. */
  readonly event: number;
  readonly history: readonly string[];
}

/** Everything that one seed decides: its processes, what they do to each other, and the laws that hold all the same. */
export class World {
  readonly #seed: number;
  readonly #broken: Partial<Breakable>;
  readonly #dice: Dice;
  readonly #scenario: Scenario;
  readonly #bodies: readonly PreparedBody[];
  readonly #outside = new Process("outside");
  readonly #storeProcess = new Process("store");
  readonly #time: VirtualTime;
  readonly #history = new History();
  readonly #network: Network;
  readonly #laws: Laws;
  readonly #providers: Providers;
  readonly #neighbour: Neighbour;
  readonly #program: Program;
  readonly #gateways: SimulatedGateway[] = [];
  readonly #exchanges = new Map<string, Exchange>();
  readonly #server: RemoteServer | undefined;
  readonly #disk: Disk | undefined;
  #durable: DurableStore | undefined;
  #configuration: Configuration;
  #recovering = 0;
  #requests = 0;
  #numbers = 0;
  readonly #adjustingDice: Dice;
  #isOver = false;
  #calmFrom = 0;
  #failure: unknown;

  constructor({ seed, minutes, bodies, scenario: given = {}, broken = {} }: WorldOptions) {
    this.#seed = seed;
    this.#adjustingDice = new Dice(seed + 2 ** 34);
    this.#broken = broken;
    this.#bodies = bodies;
    const dice = new Dice(seed);
    this.#dice = dice;
    const scenario = { ...drawScenario(dice, new Dice(seed + 2 ** 32), minutes), ...given };
    this.#scenario = scenario;
    const time = new VirtualTime(scenario.startsAt, this.#outside);
    this.#time = time;
    time.beforeEach = (process) => this.#mayCrash(process);
    this.#network = new Network(time, dice, scenario.network);
    this.#configuration = configurationOf(1, scenario.plan);
    this.#laws = new Laws({
      canLagBehind: scenario.gateways > 1 && scenario.leapRate > 0,
      isRemote: scenario.store === "remote",
      isRecovering: () => this.#recovering > 0,
    });
    const check = (law: () => void) => this.#check(law);
    this.#providers = new Providers(new Process("providers"), {
      time,
      dice,
      trouble: scenario.trouble,
      canBeSlow: scenario.canBeSlow,
      canGoOn: scenario.routes.length > 0,
      bodyOf: (id) => this.#exchangeOf(id).body,
      onSent: (id, cap) => {
        this.#history.add(time.now, "sent", id, cap);
        const exchange = this.#exchangeOf(id);
        check(() => this.#laws.sentFor(exchange, id, cap, attemptsMost(scenario.routes, exchange.body.model.name)));
        check(() => this.#laws.sent(id, cap));
      },
      onAnswered: (id) => {
        this.#laws.attempt(id, 0).wasAnswered = true;
      },
      onServed: (served, behaviour) => {
        this.#history.add(time.now, "provider", served.id, behaviour, scenario.routes.length > 0 ? served.model.provider : undefined);
        check(() => this.#laws.served(served));
      },
    });
    this.#neighbour = new Neighbour({
      time,
      dice,
      process: this.#outside,
      network: this.#network,
      laws: this.#laws,
      check,
      anyGateway: () => this.#anyGateway(),
    });
    this.#program = new Program({ time, dice, laws: this.#laws, check, onError: (error) => this.#note(this.#time.current, error) });
    if (scenario.store === "remote") {
      const now = () => time.now + this.#storeProcess.skewMs;
      const store = createMemoryStore({ now });
      this.#server = remoteServer(this.#watched(broken.server?.(store) ?? store, now), now);
    } else {
      this.#disk = new Disk({
        time,
        dice,
        failureChance: scenario.diskFailureChance,
        slowChance: scenario.diskSlowChance,
        onEntry: (entry) => {
          this.#history.add(time.now, "ledger", entry.seq, entry.kind, entry.reservation);
          check(() => this.#laws.entered(entry));
        },
        onFailure: () => this.#history.add(time.now, "disk fails"),
      });
    }
  }

  /** Lets everything happen. The same seed, the same outcome. */
  async run(): Promise<Outcome> {
    const uninstall = installVirtualTime(this.#time, new Dice(this.#seed + 2 ** 33));
    const rejected = (error: unknown) => this.#fail(error);
    process.on("unhandledRejection", rejected);
    try {
      await this.#run();
    } catch (error) {
      this.#fail(error);
    } finally {
      process.off("unhandledRejection", rejected);
      uninstall();
      this.#disk?.discard();
    }
    return {
      seed: this.#seed,
      requests: this.#requests,
      events: this.#time.events,
      checks: this.#laws.checks,
      hash: this.#history.hash,
      failure:
        this.#failure === undefined ? undefined : { error: this.#failure, event: this.#time.events, history: this.#told(this.#failure) },
    };
  }

  async #run(): Promise<void> {
    const { gateways, startsAt, minutes } = this.#scenario;
    for (let i = 1; i <= gateways; i++) this.#start(new Process(`gateway-${i}`));
    this.#planTraffic();
    await this.#passUntil(() => this.#time.now >= startsAt + minutes * MINUTE_MS);
    this.#heal();
    const deadline = this.#time.now + QUIET_WITHIN_MS;
    await this.#passUntil(() => this.#isQuiet() || this.#time.now > deadline);
    await this.#outliveLeases();
    // Whoever asked may have gone while its call stood in a line, and what is held for that call now ends by its lease alone.
    await this.#outliveLeases();
    await this.#rest();
  }

  async #outliveLeases(): Promise<void> {
    // A clock that was put back makes leases as much longer.
    this.#time.leap(LEASES_OVER_MS + 2 * this.#scenario.skewMostMs);
    const atRest = this.#time.now + MINUTE_MS;
    await this.#passUntil(() => this.#time.now > atRest);
  }

  async #passUntil(isOver: () => boolean): Promise<void> {
    while (this.#failure === undefined && !isOver()) if (!(await this.#time.step())) return;
  }

  /** Nothing happens any more: the last word of the laws. */
  async #rest(): Promise<void> {
    if (this.#failure !== undefined) return;
    if (!this.#isQuiet()) throw new Violation(3, "Calls are still in flight, long after everything was well again.");
    const store = this.#durable ?? this.#server;
    const counters = await this.#atOnce(() => (store as Store).counters());
    this.#laws.balances(counters, Math.max(this.#time.now, ...this.#gateways.map((gateway) => gateway.now)));
    if (this.#durable) {
      const { audit } = { audit: () => (this.#durable as DurableStore).audit() };
      const mismatches = await this.#atOnce(audit);
      if (mismatches.length > 0) throw new Violation(6, `The audit finds ${JSON.stringify(mismatches)}.`);
    }
    this.#laws.quiet();
    // A clock that is put back leads into windows that were over.
    if (this.#scenario.skewRate === 0) this.#laws.carriedOver(this.#configuration);
  }

  /** Time passes until a promise is kept. */
  async #atOnce<Result>(make: () => Promise<Result>): Promise<Result> {
    const kept: { result?: Result; isKept: boolean } = { isKept: false };
    const [gateway] = this.#gateways;
    this.#time.current = gateway?.process ?? this.#outside;
    make().then(
      (result) => {
        kept.result = result;
        kept.isKept = true;
      },
      (error) => this.#fail(error),
    );
    await this.#passUntil(() => kept.isKept);
    return kept.result as Result;
  }

  #start(process: Process): void {
    const { time, laws } = { time: this.#time, laws: this.#laws };
    const { expireEveryMs, shareEveryMs, adjustEveryMs, drains, routes } = this.#scenario;
    const upstream = this.#providers.connectionsOf(process);
    const gateway = new SimulatedGateway({
      time,
      process,
      laws,
      upstream: this.#broken.upstream?.(upstream) ?? upstream,
      configuration: this.#configuration,
      routes,
      expireEveryMs,
      shareEveryMs,
      adjustEveryMs,
      seen: (amount) => seenOf(amount, this.#adjustingDice),
      onDisconnect: drains ? "drain" : "abort",
      storeNow: () => time.now + (this.#server ? this.#storeProcess : process).skewMs,
      onShared: (what, details) => this.#history.add(time.now, what, process.name, details),
      bodyOf: (id) => this.#exchanges.get(requestOf(id))?.body,
      open: async () => {
        const store = await this.#open(process);
        return this.#broken.client?.(store) ?? store;
      },
      check: (law) => this.#check(law),
      onError: (error) => this.#note(process, error),
      onDecision: (id, decision) => {
        const said = decision.outcome === "denied" ? decision.denial.reason : decision.outcome;
        this.#history.add(time.now, "decision", process.name, id, said);
      },
    });
    this.#gateways.push(gateway);
    this.#history.add(time.now, "start", process.name, this.#configuration.number);
    time.after(process, 0, () => {
      gateway.start().catch((error: unknown) => {
        this.#note(process, error);
        this.#kill(gateway);
      });
    });
  }

  /** Opens what a gateway's balances live in. */
  async #open(process: Process): Promise<Store> {
    const time = this.#time;
    const { storeTimeoutMs, storeTries } = this.#scenario;
    if (this.#server) {
      return new RemoteStore({
        time,
        network: this.#network,
        server: this.#server,
        serverProcess: this.#storeProcess,
        process,
        timeoutMs: storeTimeoutMs,
        tries: storeTries,
        nextNumber: () => ++this.#numbers,
      });
    }
    const disk = this.#disk as Disk;
    const now = () => time.now + process.skewMs;
    const onError = (error: unknown) => this.#note(process, error);
    const [journal, recovered] = [disk.journalOf(process), disk.recover()];
    const store = new DurableStore({
      journal: this.#broken.journal?.(journal) ?? journal,
      recovered: this.#broken.recovered?.(recovered) ?? recovered,
      directory: "/simulated",
      now,
      onError,
    });
    this.#durable = store;
    this.#recovering++;
    try {
      await store.begin();
    } finally {
      this.#recovering--;
    }
    const counters = await store.counters();
    // A window that ended long ago may have been forgotten before this clock went back to when it had not.
    this.#check(() => this.#laws.balances(counters, Math.max(this.#time.now, now())));
    return watchStore(store, { laws: this.#laws, now, readsLedger: false, check: (law) => this.#check(law) });
  }

  #watched(store: Store, now: () => number): Store {
    const laws = this.#laws;
    return watchStore(store, { laws, now, readsLedger: true, check: (law) => this.#check(law) });
  }

  #planTraffic(): void {
    const { callRate, favourRate, pauseRate, partitionRate, changeRate, leapRate, skewRate, skewMostMs, outageRate } = this.#scenario;
    const dice = this.#dice;
    const anyProcess = () => dice.pick([this.#storeProcess, ...this.#gateways.map(({ process }) => process)]);
    this.#again(callRate, () => this.#call());
    this.#again(changeRate, () => this.#changeConfiguration());
    this.#again(favourRate, () => this.#favour());
    this.#again(pauseRate, () => {
      const process = anyProcess();
      const ms = dice.magnitude(100, dice.chance(0.1) ? 15 * MINUTE_MS : MINUTE_MS);
      process.pausedUntil = Math.max(process.pausedUntil, this.#time.now + ms);
      this.#history.add(this.#time.now, "pause", process.name, ms);
    });
    this.#again(partitionRate, () => {
      const process = anyProcess();
      const ms = dice.magnitude(100, dice.chance(0.1) ? 15 * MINUTE_MS : MINUTE_MS);
      this.#network.partition(process, ms);
      this.#history.add(this.#time.now, "partition", process.name, ms);
    });
    this.#again(outageRate, () => {
      const { name } = dice.pick([...PROVIDERS, ...OTHER_PROVIDERS]);
      const ms = dice.magnitude(1_000, 5 * MINUTE_MS);
      this.#history.add(this.#time.now, "outage", name, ms);
      this.#providers.fail(name, ms);
    });
    this.#again(leapRate, () => {
      const ms = dice.magnitude(1_000, 26 * 60 * MINUTE_MS);
      this.#history.add(this.#time.now, "leap", ms);
      this.#time.leap(ms);
    });
    this.#again(skewRate, () => {
      const process = anyProcess();
      process.skewMs = dice.between(-skewMostMs, skewMostMs);
      this.#history.add(this.#time.now, "clock", process.name, process.skewMs);
    });
  }

  /** Does something so often a minute, at times that nobody knows before. */
  #again(rate: number, run: () => void): void {
    if (rate === 0) return;
    const ms = (-Math.log(1 - this.#dice.roll()) / rate) * MINUTE_MS;
    this.#time.after(this.#outside, Math.min(ms, 1_000 * MINUTE_MS), () => {
      if (this.#isOver) return;
      run();
      this.#again(rate, run);
    });
  }

  /** A client calls, or several at once. */
  #call(): void {
    const dice = this.#dice;
    const calls = dice.chance(0.1) ? dice.between(2, 10) : 1;
    for (let i = 0; i < calls; i++) {
      const subject = { team: dice.pick(TEAMS), ...optional("user", dice.pick(USERS)), ...optional("task", dice.pick(TASKS)) };
      if (dice.chance(this.#scenario.programShare)) this.#callOfProgram(subject);
      else if (dice.chance(this.#scenario.neighbourShare)) this.#callOfNeighbour(subject);
      else this.#callOfClient(subject);
    }
  }

  #callOfProgram(subject: Readonly<Record<string, string>>): void {
    const gateway = this.#anyGateway();
    const id = `own-${++this.#requests}`;
    if (!gateway) return;
    const { process } = gateway;
    const model = MODELS[this.#dice.between(0, 2)] as Model;
    this.#history.add(this.#time.now, "call", id, process.name, model.name);
    this.#time.after(process, 0, () => gateway.call(id, (budgets) => this.#program.call(process, budgets, id, subject, model)));
  }

  #callOfNeighbour(subject: Readonly<Record<string, string>>): void {
    const model = MODELS[this.#dice.between(0, 2)] as Model;
    void this.#neighbour.call(`dec-${++this.#requests}`, subject, model).catch((error: unknown) => this.#fail(error));
  }

  #callOfClient(subject: Readonly<Record<string, string>>): void {
    const dice = this.#dice;
    const time = this.#time;
    const gateway = this.#anyGateway();
    const id = `req-${++this.#requests}`;
    if (!gateway) return;
    const body = dice.pick(this.#bodies);
    const exchange: Exchange = new Exchange(id, subject, body, () => {
      if (!dice.chance(0.1)) return false;
      time.after(this.#outside, dice.magnitude(1, 2_000), () => exchange.read());
      return true;
    });
    this.#exchanges.set(id, exchange);
    this.#laws.attempt(id, body.countedTokens);
    this.#history.add(time.now, "call", id, gateway.process.name, body.model.name);
    time.after(gateway.process, dice.between(0, 3), () => gateway.serve(exchange));
    if (dice.chance(this.#scenario.disconnectChance)) {
      time.after(gateway.process, dice.magnitude(1, 6_000), () => {
        this.#history.add(time.now, "disconnect", id);
        exchange.leave();
      });
    }
  }

  /** A changed file reaches the gateways one after another. */
  #changeConfiguration(): void {
    const dice = this.#dice;
    this.#configuration = configurationOf(this.#configuration.number + 1, changedPlan(this.#configuration.planned, dice, this.#scenario));
    const configuration = this.#configuration;
    this.#history.add(this.#time.now, "configuration", configuration.number);
    for (const gateway of this.#gateways) this.#reload(gateway, configuration, dice.between(0, 2_000));
  }

  /** An owner gives somebody more, takes that back, or lets a balance begin again. */
  #favour(): void {
    const dice = this.#dice;
    const gateway = this.#anyGateway();
    const favour = planFavour(this.#configuration.planned, dice);
    if (!gateway || !favour) return;
    const { limit, ...whom } = favour;
    const why = { giver: "owner", why: "simulated" };
    const id = `grant-${++this.#numbers}`;
    const until = `${dice.magnitude(1, 120)}m`;
    const what = dice.weighted([
      [5, "grant"],
      [2, "revoke"],
      [2, "reset"],
    ] as const);
    this.#history.add(this.#time.now, what, gateway.process.name, whom.budget, limit);
    this.#time.after(gateway.process, 0, () => {
      void gateway.favour(async (budgets) => {
        if (what === "grant") await budgets.grant({ ...whom, ...why, id, amount: limit, until });
        if (what === "reset") await budgets.reset({ ...whom, ...why });
        if (what !== "revoke") return;
        const grant = (await budgets.grants()).at(0);
        if (grant) await budgets.revoke(grant.id, why);
      });
    });
  }

  /** A change that cannot be taken over is tried again, unless there is a newer one. */
  #reload(gateway: SimulatedGateway, configuration: Configuration, ms: number): void {
    this.#time.after(gateway.process, ms, () => {
      if (configuration !== this.#configuration || gateway.inForce === configuration) return;
      if (!gateway.isReady) return this.#reload(gateway, configuration, 1_000);
      gateway.reload(configuration).then(
        () => this.#history.add(this.#time.now, "reloaded", gateway.process.name, configuration.number),
        (error: unknown) => {
          this.#note(gateway.process, error);
          this.#reload(gateway, configuration, 1_000);
        },
      );
    });
  }

  #exchangeOf(id: string): Exchange {
    return this.#exchanges.get(requestOf(id)) as Exchange;
  }

  #anyGateway(): SimulatedGateway | undefined {
    const ready = this.#gateways.filter(({ isReady }) => isReady);
    return ready.length === 0 ? undefined : this.#dice.pick(ready);
  }

  #mayCrash(process: Process): void {
    if (this.#isOver || process === this.#outside || !this.#dice.chance(this.#scenario.crashChance)) return;
    const gateway = this.#gateways.find((one) => one.process === process);
    if (gateway) this.#kill(gateway);
  }

  /** `kill -9`, and somebody who starts it again. */
  #kill(gateway: SimulatedGateway): void {
    const { process } = gateway;
    if (!process.isAlive) return;
    gateway.kill();
    this.#history.add(this.#time.now, "kill", process.name);
    for (const id of gateway.calls) this.#laws.orphaned(id);
    for (const id of gateway.failed) this.#laws.attempt(id, 0).wasOrphaned = true;
    this.#gateways.splice(this.#gateways.indexOf(gateway), 1);
    const ms = this.#isOver ? 1_000 : this.#dice.magnitude(100, 60_000);
    this.#time.after(this.#outside, ms, () => {
      const next = new Process(process.name);
      next.skewMs = process.skewMs;
      this.#start(next);
    });
  }

  /** From now on everything works, and nobody calls any more. */
  #heal(): void {
    this.#isOver = true;
    this.#network.heal();
    this.#providers.isWell = true;
    if (this.#disk) this.#disk.isWell = true;
    const processes = [this.#storeProcess, ...this.#gateways.map((gateway) => gateway.process)];
    // What came to a process while it stood still comes to it when it would have gone on.
    this.#calmFrom = Math.max(this.#time.now, ...processes.map(({ pausedUntil }) => pausedUntil));
  }

  #isQuiet(): boolean {
    const { gateways } = this.#scenario;
    const areRunning =
      this.#gateways.length === gateways &&
      this.#gateways.every(({ isReady, calls, inForce }) => isReady && calls.size === 0 && inForce === this.#configuration);
    return areRunning && this.#neighbour.open === 0 && this.#time.now > this.#calmFrom;
  }

  #check(law: () => void): void {
    try {
      law();
    } catch (error) {
      this.#fail(error);
    }
  }

  /** What an operator would read in the log. An error that is no refusal of the store is one of the product. */
  #note(process: Process, error: unknown): void {
    const code = error instanceof PurserError ? error.code : "error";
    this.#history.add(this.#time.now, "error", process.name, code, error instanceof Error ? error.message.slice(0, 100) : "");
    if (code !== "store_unavailable") this.#fail(error);
  }

  /** The scenario, the last events, and all that is known of the call that a failure names. */
  #told(error: unknown): readonly string[] {
    const { plan, ...rest } = this.#scenario;
    const id = /\b(?:req|dec|own)-\d+(?:\.\d+)?\b/.exec(error instanceof Error ? error.message : "")?.[0];
    const attempt = id === undefined ? undefined : this.#laws.attempts.get(id);
    const call = attempt && { ...attempt, asked: attempt.asked.length, kept: this.#laws.books.reservations.get(attempt.id) };
    return [
      `Scenario: ${JSON.stringify(rest)}`,
      ...plan.map((budget) => `Budget: ${JSON.stringify(budget)}`),
      ...this.#history.lines(),
      ...(call ? [`Call: ${JSON.stringify(call)}`] : []),
    ];
  }

  #fail(error: unknown): void {
    this.#failure ??= error;
  }
}

function optional<Name extends string>(name: Name, value: string | undefined): { readonly [name in Name]?: string } {
  return (value === undefined ? {} : { [name]: value }) as { readonly [name in Name]?: string };
}
