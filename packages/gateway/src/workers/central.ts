import { Budgets, type LeasingStore, type PriceSource, PurserError, type Store } from "@purser/core";
import type { Admin } from "../admin/admin.ts";
import { Decisions } from "../admin/decisions.ts";
import { type AdminOptions, createAdmin } from "../admin/routes.ts";
import type { KnownTerms } from "../budgeted-call.ts";
import type { CallEvents } from "../call-events.ts";
import type { Config } from "../config/config.ts";
import { priceBookOf } from "../config/price-book.ts";
import { Counting } from "../counting.ts";
import { type AuditState, Audits } from "../metrics/audits.ts";
import type { Records } from "../records.ts";
import { openSwitches } from "../switches/switches.ts";
import type { Answer, Question } from "./messages.ts";
import { serveStore } from "./served-store.ts";

const EXPIRE_EVERY_MS = 1_000;
const NOBODY = new PurserError("channel_unknown", "Several workers tell nobody.");
/** Several workers tell nobody, and only what is about decisions is asked here. */
const NO_ALERTS: AdminOptions["alerts"] = {
  channels: [],
  deliveries: async () => [],
  waiting: async () => 0,
  alerts: async () => [],
  test: () => Promise.reject(NOBODY),
  acknowledge: () => Promise.reject(NOBODY),
  snooze: () => Promise.reject(NOBODY),
};

/** What this process does for all workers: it has the store, puts limits in force, and decides calls of other gateways. */
export class Central {
  /** Answers what a worker asks. */
  readonly answer: (question: Question) => Promise<Answer>;
  readonly #budgets: Budgets;
  readonly #records: Records;
  readonly #timers: readonly NodeJS.Timeout[];
  readonly #audits: Audits;
  readonly #counting = new Counting();
  #prices: PriceSource;
  #config: Config;
  #isClosing = false;

  constructor(config: Config, records: Records, events: CallEvents, onError: (error: unknown) => void) {
    const { store, keys, archive } = records;
    if (!lends(store)) throw new PurserError("leases_unsupported", "This store cannot be shared by workers. Leave out --workers.");
    this.#records = records;
    this.#prices = priceBookOf(config);
    this.#config = config;
    const prices: PriceSource = { card: (...model) => this.#prices.card(...model) };
    const timeZone = () => this.#config.timezone;
    const switches = openSwitches(config.dataDir, { onError });
    const { explain: switchedOff } = switches;
    this.#audits = new Audits({ store, onError });
    this.#budgets = new Budgets({
      store,
      budgets: config.budgets,
      allowances: config.allowances,
      prices,
      switchedOff,
      onCharge: (id, subject, charge, takenBack) => events.charged(id, subject, charge, takenBack),
      onDenial: (subject, denial, id) => events.denied(id, subject, denial),
      onError,
    });
    const calibration: KnownTerms["calibration"] = { marginOf: () => undefined };
    const known = () => ({ config: this.#config, prices, calibration });
    const decisions = new Decisions({ budgets: this.#budgets, store, prices, known, isDraining: () => this.#isClosing });
    const kept = { store, keys, switches, alerts: NO_ALERTS, ...(archive && { archive }) };
    const decide: Admin = createAdmin({ ...kept, budgets: this.#budgets, prices, decisions, timeZone });
    this.answer = serveStore(store, decide);
    this.#timers = [
      setInterval(() => this.#budgets.expire().catch(onError), EXPIRE_EVERY_MS).unref(),
      setInterval(() => this.#audits.look().catch(onError), EXPIRE_EVERY_MS).unref(),
    ];
  }

  async start(): Promise<void> {
    this.#counting.use(await this.#counting.read(this.#config));
    await this.#budgets.adopt();
    this.#records.archiving?.start();
  }

  /** Reads what changed limits need, while calls go on. */
  async prepare(config: Config): Promise<void> {
    await this.#counting.read(config);
  }

  /** Puts changed limits in force. No worker may admit calls meanwhile. */
  async configure(config: Config): Promise<void> {
    const { budgets, allowances } = config;
    const prices = priceBookOf(config);
    const counted = await this.#counting.read(config);
    await this.#budgets.configure({ budgets, prices, allowances });
    this.#counting.use(counted);
    this.#prices = prices;
    this.#config = config;
  }

  /** What the last audit of the store found. */
  get audit(): AuditState | undefined {
    return this.#audits.state;
  }

  /** Takes no new calls of other gateways. */
  drain(): void {
    this.#isClosing = true;
  }

  async close(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer);
    await this.#audits.close();
    await this.#budgets.close();
    this.#counting.close();
  }
}

function lends(store: Store): store is LeasingStore {
  return "lease" in store;
}
