import { Budgets, type Call, type Decision, type Evidence, PurserError, type Store } from "../../packages/core/dist/index.js";
import { Decisions } from "../../packages/gateway/dist/admin/decisions.js";
import { BodyRoom } from "../../packages/gateway/dist/body-room.js";
import type { Config } from "../../packages/gateway/dist/config/config.js";
import { Circuits } from "../../packages/gateway/dist/failover/circuits.js";
import type { CallInFlight, Gateway } from "../../packages/gateway/dist/gateway.js";
import { Guards } from "../../packages/gateway/dist/guards/guards.js";
import { NO_HANDOVERS } from "../../packages/gateway/dist/handovers/handover-book.js";
import { Handovers } from "../../packages/gateway/dist/handovers/handovers.js";
import { OpenHandovers } from "../../packages/gateway/dist/handovers/open-handovers.js";
import { RENEW_EVERY_MS, renewLeases } from "../../packages/gateway/dist/leases.js";
import { Figures } from "../../packages/gateway/dist/metrics/figures.js";
import { serveCall } from "../../packages/gateway/dist/pipeline.js";
import { type ConfiguredRoute, createRouter } from "../../packages/gateway/dist/providers/routing.js";
import { NO_QUEUE } from "../../packages/gateway/dist/queue/queue.js";
import { Answers } from "../../packages/gateway/dist/rungs/answers.js";
import { PromptCaches } from "../../packages/gateway/dist/rungs/prompt-caches.js";
import { Summaries } from "../../packages/gateway/dist/rungs/summaries.js";
import { SentBefore } from "../../packages/gateway/dist/sessions/sent-before.js";
import { shareUnused } from "../../packages/gateway/dist/sharing.js";
import type { PreparedBody } from "./bodies.js";
import { CALL_HEADER, type Exchange } from "./exchange.js";
import type { Laws } from "./laws.js";
import { modelAt, OTHER_PROVIDERS, PRICES, PROVIDERS } from "./models.js";
import { type Configuration, trialsOver } from "./plan.js";
import type { Process, VirtualTime } from "./virtual-time.js";
import { notedStore } from "./watched-store.js";

export interface GatewayOptions {
  readonly time: VirtualTime;
  readonly process: Process;
  readonly laws: Laws;
  readonly upstream: Gateway["upstream"];
  readonly configuration: Configuration;
  readonly routes: readonly ConfiguredRoute[];
  readonly expireEveryMs: number;
  /** 0: nobody looks whether something unused is to be moved. */
  readonly shareEveryMs: number;
  /** 0: no limit follows what is used of it. */
  readonly adjustEveryMs: number;
  readonly onDisconnect: Config["onDisconnect"];
  /** The body of an attempt as its client sent it; none for calls of programs. */
  bodyOf(id: string): PreparedBody | undefined;
  /** Milliseconds by the clock of the store. */
  storeNow(): number;
  /** Opens the store as a process that starts does. */
  open(): Promise<Store>;
  /** What is seen of a limit of so much that follows its use. */
  seen(amount: number): Evidence | undefined;
  /** Holds what a law says against the simulation. */
  check(law: () => void): void;
  onError(error: unknown): void;
  onShared(what: string, details: string): void;
  onDecision(id: string, decision: Decision): void;
}

const NO_FAVOUR: ReadonlySet<string> = new Set(["body_invalid", "limit_invalid", "budget_unknown"]);
/** No budget of the simulation has a guard, and no ladder of them asks or tells anybody. */
const NOBODY_IS_ASKED: Gateway["asks"] = {
  ask: async () => undefined,
  wait: async () => false,
  look: async () => ({ kind: "forged" }),
  answer: async () => ({ kind: "forged" }),
};
/** Nor does it make batches. */
const NO_BATCHES = {} as Gateway["batches"];
const NOBODY_IS_TOLD = { decided: () => undefined, watches: () => false, observe: () => undefined, tell: () => undefined };
const DATA_DIR = "/simulated";
const BODY_MOST = 16 * 1024 * 1024;

/** One gateway process: the product's own pipeline, budgets and leases, from its start until it is killed. */
export class SimulatedGateway {
  readonly process: Process;
  readonly #options: GatewayOptions;
  readonly #inFlight = new Map<string, CallInFlight>();
  /** The calls that it works on, and those that the store failed: of these it alone knows that they were never sent. */
  readonly calls = new Set<string>();
  readonly failed = new Set<string>();
  readonly #undecided = new Set<string>();
  #running: { readonly budgets: Budgets; readonly decisions: Decisions; gateway: Gateway } | undefined;
  readonly #circuits = new Circuits();
  /** The configuration by which the last call was judged. */
  #judgedBy: Configuration;
  /** The call that is being taken over. */
  #next: Exchange | undefined;

  constructor(options: GatewayOptions) {
    this.process = options.process;
    this.#options = options;
    this.#judgedBy = options.configuration;
  }

  /** The configuration that it has taken over. */
  inForce: Configuration | undefined;
  /** The one that it is about to take over. */
  #taking: Configuration | undefined;

  get isReady(): boolean {
    return this.process.isAlive && this.#running !== undefined;
  }

  /** Milliseconds by its own clock. */
  get now(): number {
    return this.#options.time.now + this.process.skewMs;
  }

  /** Opens the store, takes its budgets into force, and begins to take calls: in the order of the real one. */
  async start(): Promise<void> {
    const { time, process, laws, configuration, expireEveryMs, shareEveryMs, adjustEveryMs, onError } = this.#options;
    const store = notedStore(await this.#options.open(), {
      laws,
      judgedBy: () => this.#judgedBy,
      now: () => this.now,
      onFailure: (id) => {
        if (id !== undefined) {
          this.failed.add(id);
          laws.attempt(id, 0).isEndLost = true;
        } else for (const undecided of this.#undecided) laws.attempt(undecided, 0).sawFailure = true;
      },
    });
    const budgets = new WatchedBudgets({ ...this.#terms(configuration), store, now: () => this.now, onError }, this.#watch());
    await budgets.adopt();
    this.#reached(configuration);
    const gateway = this.#gateway(budgets, configuration);
    const decisions = new Decisions({ budgets, store, prices: PRICES, known: () => gateway, now: () => this.now });
    this.#running = { budgets, decisions, gateway };
    time.every(process, expireEveryMs, () => void budgets.expire().catch(onError));
    if (shareEveryMs > 0) time.every(process, shareEveryMs, () => void this.#share(budgets).catch(onError));
    if (adjustEveryMs > 0) {
      void this.#adjust(budgets).catch(onError);
      time.every(process, adjustEveryMs, () => void this.#adjust(budgets).catch(onError));
    }
    time.every(process, RENEW_EVERY_MS, () => void renewLeases(budgets, this.#inFlight, this.now).catch(onError));
  }

  /** Takes a call of a client over. */
  serve(exchange: Exchange): void {
    const running = this.#running;
    if (!running) return;
    this.#next = exchange;
    this.calls.add(exchange.id);
    serveCall(running.gateway, exchange.request, exchange.response, { dialect: exchange.body.model.dialect, names: {} })
      .catch(this.#options.onError)
      .finally(() => this.calls.delete(exchange.id));
    exchange.arrive();
  }

  /** Makes a call without any gateway: its program has the budgets in itself. */
  call(id: string, make: (budgets: Budgets) => Promise<void>): void {
    const running = this.#running;
    if (!running) return;
    this.calls.add(id);
    make(running.budgets)
      .catch(this.#options.onError)
      .finally(() => this.calls.delete(id));
  }

  /** Answers another gateway, which asks before it sends a call and says after it what was used. */
  ask<Answer>(question: (decisions: Decisions) => Promise<Answer>): Promise<Answer> {
    if (!this.#running) return Promise.reject(new PurserError("shutting_down", "It does not run."));
    return question(this.#running.decisions);
  }

  /** Does something that an owner asks for. What does not fit its configuration is refused. */
  async favour(make: (budgets: Budgets) => Promise<unknown>): Promise<void> {
    try {
      if (this.#running) await make(this.#running.budgets);
    } catch (error) {
      if (!(error instanceof PurserError) || !NO_FAVOUR.has(error.code)) this.#options.onError(error);
    }
  }

  #reached(configuration: Configuration): void {
    const { laws, time } = this.#options;
    this.inForce = configuration;
    laws.reached(Math.max(time.now, this.now));
    laws.adjusting.reached(configuration, laws.books.seq);
  }

  /** Moves what is unused. What is moved must be by one of the configurations that may be in force now. */
  async #share(budgets: Budgets): Promise<void> {
    const { laws, storeNow, onShared } = this.#options;
    const [seq, at] = [laws.books.seq, storeNow()];
    const looking = [this.inForce, this.#taking].flatMap((configuration) => (configuration ? [{ configuration, seq, at }] : []));
    for (const one of looking) laws.sharing.begins(one);
    await shareUnused(budgets, {
      write: async ({ what, details }) => {
        onShared(what, JSON.stringify(details));
        return 0;
      },
    });
    for (const one of looking) laws.sharing.ends(one);
  }

  /** Lets limits follow what is used of them, by one of the configurations that may be in force now. */
  async #adjust(budgets: Budgets): Promise<void> {
    const { laws, seen } = this.#options;
    const deciding = [this.inForce, this.#taking].flatMap((configuration) => configuration ?? []);
    for (const one of deciding) laws.adjusting.begins(one);
    await budgets.adjust(async ({ limit }) => seen(limit.amount));
    for (const one of deciding) laws.adjusting.ends(one);
  }

  /** Takes a changed configuration over, as when its file was changed. */
  async reload(configuration: Configuration): Promise<void> {
    const running = this.#running;
    if (!running) return;
    this.#taking = configuration;
    await running.budgets.configure(this.#terms(configuration));
    this.#circuits.forget();
    running.gateway = this.#gateway(running.budgets, configuration);
    this.#reached(configuration);
    if (this.#options.adjustEveryMs > 0) await this.#adjust(running.budgets).catch(this.#options.onError);
  }

  /** `kill -9`: nothing that it waits for will ever come. */
  kill(): void {
    this.process.isAlive = false;
  }

  #terms(configuration: Configuration) {
    const prices = {
      card: (provider: string, model: string, at: number) => {
        // Asked once when a call is judged, and of the configuration in force.
        this.#judgedBy = configuration;
        return PRICES.card(provider, model, at);
      },
    };
    return { budgets: configuration.budgets, prices };
  }

  #watch(): Watch {
    const { laws, check, onDecision, storeNow } = this.#options;
    return {
      begins: (call) => {
        this.#undecided.add(call.id);
        laws.lastAnswers.begins(call.id, this.#judgedBy);
        return this.#countIn(call);
      },
      ends: ({ id }) => this.#undecided.delete(id),
      decided: (call, decision, since) => {
        onDecision(call.id, decision);
        const now = this.now;
        const judgedBy = this.#judgedBy;
        // Which of two configurations decided is not known where both could. Where the store does not answer, it may still have told its own time.
        const times = lacksStore(decision) ? [since.at, storeNow()] : [since.at];
        const isOne = since.configuration === judgedBy && times.every((at) => trialsOver(judgedBy, at) === trialsOver(judgedBy, now));
        if (isOne || decision.outcome === "allowed") check(() => laws.decided(call, decision, judgedBy, now));
        else if (decision.outcome === "uncounted") laws.attempt(call.id, 0).isUncounted = true;
      },
      failed: (call) => {
        laws.attempt(call.id, 0).decision = "failed";
      },
      judgedBy: () => ({ configuration: this.#judgedBy, at: this.now }),
    };
  }

  /** A call that goes out in another format than its client's has other tokens, and so has one that is told to be the last of its task. */
  #countIn({ id, subject, input, finishes }: Call): Promise<void> | undefined {
    const body = this.#options.bodyOf(id);
    const attempt = this.#options.laws.attempt(id, body?.countedTokens ?? 0);
    const model = modelAt(subject.provider as string, subject.model as string);
    if (!body || !input.count || (model?.dialect === body.model.dialect && !finishes)) return undefined;
    return input.count(Number.MAX_SAFE_INTEGER).then((counted) => {
      attempt.countedTokens = counted;
    });
  }

  #gateway(budgets: Budgets, configuration: Configuration): Gateway {
    const { upstream, onError, onDisconnect, routes } = this.#options;
    const config: Config = {
      file: undefined,
      otherFiles: [],
      server: { host: "127.0.0.1", port: 0, maxBodyBytes: BODY_MOST, drainMs: 0, publicUrl: undefined },
      store: { namespace: "simulated" },
      timezone: "UTC",
      dataDir: DATA_DIR,
      providers: routes.length > 0 ? [...PROVIDERS, ...OTHER_PROVIDERS] : PROVIDERS,
      routes,
      models: [],
      budgets: configuration.budgets,
      prices: [],
      defaultPrice: undefined,
      allowances: [],
      commitments: [],
      guards: [],
      watched: [],
      failing: [],
      captured: [],
      unused: [],
      allowanceUsed: [],
      ending: [],
      channels: [],
      answers: new Map(),
      unseenInput: undefined,
      defaultMaxOutput: 1_000,
      holds: "full",
      onDisconnect,
      login: { people: [], oidc: undefined },
      telemetry: undefined,
      expose: { cost: true, left: true, owner: true },
    };
    return {
      config,
      budgets,
      prices: PRICES,
      upstream,
      route: createRouter(config),
      bodies: new BodyRoom(),
      alerts: NOBODY_IS_TOLD,
      guards: new Guards([], NOBODY_IS_TOLD),
      answers: new Answers(),
      summaries: new Summaries(),
      calibration: { marginOf: () => undefined, saw: () => undefined },
      promptCaches: new PromptCaches(),
      usualAnswers: { p95: () => undefined, saw: () => undefined },
      sentBefore: new SentBefore(),
      circuits: this.#circuits,
      traceHeaders: (id) => [CALL_HEADER, id],
      events: new Figures(),
      log: { refused: () => undefined, write: async () => 0 },
      asks: NOBODY_IS_ASKED,
      queue: NO_QUEUE,
      handovers: new Handovers({ book: NO_HANDOVERS, open: new OpenHandovers(), budgets: [] }),
      batches: NO_BATCHES,
      inFlight: this.#inFlight,
      identify: () => ({ ok: true, caller: { key: undefined, subject: this.#next?.subject ?? {} } }),
      newId: () => this.#next?.id ?? "",
      onError,
    };
  }
}

/** Whether a call was decided without the store. */
function lacksStore(decision: Decision): boolean {
  return decision.outcome === "uncounted" || (decision.outcome === "denied" && decision.denial.reason === "store_unavailable");
}

interface Watch {
  /** A promise, where something has to be found out first. */
  begins(call: Call): Promise<void> | undefined;
  ends(call: Call): void;
  decided(call: Call, decision: Decision, since: Since): void;
  failed(call: Call): void;
  judgedBy(): Since;
}

/** What a call was judged by, and when. */
interface Since {
  readonly configuration: Configuration;
  readonly at: number;
}

/** Budgets whose decisions are held against the laws. */
class WatchedBudgets extends Budgets {
  readonly #watch: Watch;

  constructor(options: ConstructorParameters<typeof Budgets>[0], watch: Watch) {
    super(options);
    this.#watch = watch;
  }

  override async reserve(call: Call): Promise<Decision> {
    const known = this.#watch.begins(call);
    if (known) await known;
    const deciding = super.reserve(call);
    const since = this.#watch.judgedBy();
    try {
      const decision = await deciding;
      this.#watch.decided(call, decision, since);
      return decision;
    } catch (error) {
      this.#watch.failed(call);
      throw error;
    } finally {
      this.#watch.ends(call);
    }
  }
}
