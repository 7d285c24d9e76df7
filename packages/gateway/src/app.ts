import { randomBytes } from "node:crypto";
import type { IncomingMessage, Server } from "node:http";
import type { AddressInfo } from "node:net";
import {
  Budgets,
  type Charge,
  createLeasedStore,
  type Denial,
  type PriceSource,
  PurserError,
  type Store,
  type Subject,
} from "@purser/core";
import { openRollups } from "@purser/core/stores/sqlite";
import { encodingOf, loadEncoding } from "@purser/core/tokens";
import { adjustBudgets, readEvidenceFrom } from "./adjusting/adjust.ts";
import type { Admin } from "./admin/admin.ts";
import { Decisions } from "./admin/decisions.ts";
import { createFigures } from "./admin/figures.ts";
import { Live } from "./admin/live.ts";
import { Minutes } from "./admin/minutes.ts";
import { createAdmin, isAboutDecisions } from "./admin/routes.ts";
import { Agreed, type Agreement } from "./alerts/agreed.ts";
import { alertLink } from "./alerts/alert-link.ts";
import { Alerts } from "./alerts/alerts.ts";
import { Captured } from "./alerts/captured.ts";
import { Failing } from "./alerts/failing.ts";
import { Hindsight } from "./alerts/hindsight.ts";
import { openAlertBook } from "./alerts/open-book.ts";
import { Pace } from "./alerts/pace.ts";
import { RemoteBook } from "./alerts/remote-book.ts";
import { Unused } from "./alerts/unused.ts";
import { AskBook } from "./asks/ask-book.ts";
import { Asks } from "./asks/asks.ts";
import { AuditLog } from "./audit-log/audit-log.ts";
import { budgetChanges, startDetails } from "./audit-log/config-deeds.ts";
import { SEAL_EVERY_MS, Sealer } from "./audit-log/sealer.ts";
import { ledgerName } from "./audit-log/seals.ts";
import { BodyRoom } from "./body-room.ts";
import { Calibration } from "./calibration/calibration.ts";
import { both } from "./call-events.ts";
import { readOrCreateAdminToken } from "./callers/admin-token.ts";
import { type Identified, identify } from "./callers/identify.ts";
import type { Keys } from "./callers/key.ts";
import { isOpenToAll } from "./callers/open-minute.ts";
import { readCommitments } from "./commitments/uses.ts";
import { type BudgetFile, fixedBudgets } from "./config/change-budgets.ts";
import type { Config } from "./config/config.ts";
import { isLoopback } from "./config/loopback.ts";
import { priceBookOf } from "./config/price-book.ts";
import { type Counting, openCounting } from "./counting.ts";
import { Circuits } from "./failover/circuits.ts";
import type { CallInFlight, Gateway } from "./gateway.ts";
import { Guards } from "./guards/guards.ts";
import { openTripBook } from "./guards/open-trip-book.ts";
import type { TripBook } from "./guards/trip-book.ts";
import { HandoverBook } from "./handovers/handover-book.ts";
import { Handovers } from "./handovers/handovers.ts";
import { OpenHandovers } from "./handovers/open-handovers.ts";
import { UsualAnswers } from "./holds/usual-answers.ts";
import { RENEW_EVERY_MS, renewLeases } from "./leases.ts";
import { type AuditState, Audits } from "./metrics/audits.ts";
import { Figures, type Snapshot } from "./metrics/figures.ts";
import { type Counted, writeMetrics } from "./metrics/metrics.ts";
import { Standing } from "./metrics/standing.ts";
import { noticesTo } from "./notices.ts";
import { Oidc } from "./people/oidc.ts";
import { People } from "./people/people.ts";
import { createRouter } from "./providers/routing.ts";
import { askableProviders, fetchBill } from "./reconciliation/fetch-bill.ts";
import { readCommittedLines, readLedgerLines } from "./reconciliation/ledger-lines.ts";
import { openRecords, type Records } from "./records.ts";
import { Answers } from "./rungs/answers.ts";
import { PromptCaches } from "./rungs/prompt-caches.ts";
import { Summaries } from "./rungs/summaries.ts";
import { readScreenFiles } from "./screen/files.ts";
import { Sessions } from "./screen/sessions.ts";
import { createHttpServer, type ServerState } from "./server.ts";
import { SentBefore } from "./sessions/sent-before.ts";
import { shareUnused } from "./sharing.ts";
import { linkKey } from "./signed-link.ts";
import { isInForce } from "./switches/switch.ts";
import { openSwitches, type Switches } from "./switches/switches.ts";
import { openTelemetry } from "./telemetry/open.ts";
import { guardedBudgets, trialOf } from "./trials/trial.ts";
import { Upstream } from "./upstream.ts";
import { type DoneOnce, OwnOnce } from "./workers/done-once.ts";
import { borrowed } from "./workers/served.ts";

export interface StartOptions {
  readonly config: Config;
  /** Told what an operator should know and no caller waits for. */
  readonly onNotice?: (notice: string) => void;
  /** Where balances live; the store of the configuration where it is left out. */
  readonly store?: Store;
  /** Changes budgets in the file that the configuration is from; nobody does where it is left out. */
  readonly budgetFile?: BudgetFile;
  /** Where several gateways share a store and a port: what they leave to whoever started them. */
  readonly shared?: SharedParts;
  /** What another process does for this one and others on its port; it is done here where it is left out. */
  readonly once?: DoneOnce;
  /** Where it tells other processes what its guards trip on; in the Redis that it shares, if there is one, where it is left out. */
  readonly trips?: TripBook;
  /** Which providers failed lately, where others tell of it; what this process sees of it where it is left out. */
  readonly circuits?: Circuits;
  /** Which conversations people go on with, where others tell or are told of it. */
  readonly openHandovers?: OpenHandovers;
  /** Where several processes count together: what this one counts, and what all have counted. */
  readonly counting?: { readonly figures: Figures; read(): Promise<Counted> };
  /** How long a client may take to send its request. A minute where it is left out. */
  readonly requestTimeoutMs?: number;
  /** The room for bodies in memory; a part of the machine's where it is left out. */
  readonly bodies?: BodyRoom;
}

/** What several gateways that share a store leave to whoever has it. */
export interface SharedParts {
  /** Called when no call is being admitted here any more; resolves when changed limits are in force for all. */
  untilAdopted(): Promise<void>;
  /** Answers about calls that other gateways send: whoever asks again may reach another one of us. */
  readonly decide: Admin;
}

/** A gateway that listens. */
export interface RunningGateway {
  readonly url: string;
  readonly host: string;
  readonly port: number;
  readonly budgets: Budgets;
  readonly store: Store;
  readonly keys: Keys;
  /** Takes over budgets, providers and prices without a restart. */
  reload(config: Config): Promise<void>;
  /** Takes no new calls, lets the running ones end, settles them, and lets go of everything. */
  close(): Promise<void>;
}

/** A gateway without a port, in the process that starts others which have one: what has to be known to one process is done here for all. */
export interface FirstGateway extends Omit<RunningGateway, "url" | "host" | "port"> {
  readonly once: DoneOnce;
  /** Whoever was sending this batch has died. */
  abandonBatch(id: string): void;
  /** Looks at what was charged a moment ago: whoever saw it has died. */
  lookBack(): void;
  /** Answers about calls that other gateways send. */
  readonly decide: Admin;
  /** What the last audit of the store found. */
  audit(): AuditState | undefined;
  /** Reads what a changed configuration needs, while calls go on. */
  prepare(config: Config): Promise<void>;
  /** Says where the others are reached. */
  reachedAt(url: string): void;
  /** Takes nothing new, and lets what runs end. */
  drain(): void;
}

const EXPIRE_EVERY_MS = 1_000;
/** What a process saw in its last seconds it may not have told any more. */
const UNSEEN_MS = 10_000;
/** What another process switched off stops within this. */
const LOOK_EVERY_MS = 250;
/** No ladder asks for older answers, and no conversation rests for longer and still goes on. */
const KEPT_MOST_MS = 24 * 3_600_000;
/** What another process trips on stands here within this. */
const TAKE_OVER_EVERY_MS = 500;
const TICK_EVERY_MS = 1_000;
/** Often enough that whoever looks at the sums waits for little, and seldom enough to cost nothing. */
const SUM_EVERY_MS = 5_000;
/** Budgets share by the hour or more seldom, as a rule, and to look costs all of their balances. */
const SHARE_EVERY_MS = 60_000;
/** Often enough that it is done before a period ends. */
const ADJUST_EVERY_MS = 60_000;
const CUT_AFTER_MS = 500;
const NOTHING_AGREED = { allowanceUsed: [], ending: [] };

/** Starts a gateway: opens the books, the store and the keys, and listens. */
export async function startGateway(options: StartOptions): Promise<RunningGateway> {
  return withBooks(options, (books, onError) => startWith(books, onError, options, {}));
}

interface StartFirstOptions extends Pick<StartOptions, "config" | "onNotice" | "trips" | "circuits" | "openHandovers"> {
  /** How many others have a port in the place of this one. */
  readonly workers: number;
  /** What is counted in this process. */
  readonly figures: Figures;
  /** What all have counted. */
  counted(): Snapshot;
}

/** Starts a gateway for others, which are processes with a port. */
export async function startFirst(options: StartFirstOptions): Promise<FirstGateway> {
  return withBooks(options, (books, onError) => startWith(books, onError, options, options));
}

/** What is opened before all else. */
interface Books {
  readonly records: Records;
  /** How models are counted. */
  readonly models: Counting;
}

async function withBooks<Started>(
  { config, onNotice = () => undefined, store, shared }: StartOptions,
  start: (books: Books, onError: (error: unknown) => void) => Promise<Started>,
): Promise<Started> {
  const { tell, tellOnce } = noticesTo(onNotice);
  const onError = (error: unknown) => tellOnce(error instanceof Error ? error.message : String(error));
  const models = await openCounting(config);
  try {
    const records = await openRecords(config, { store, isArchivedElsewhere: shared !== undefined, onNotice: tell, onError });
    try {
      return await start({ records, models }, onError);
    } catch (error) {
      await records.close();
      throw error;
    }
  } catch (error) {
    models.close();
    throw error;
  }
}

async function startWith(
  { records, models }: Books,
  onError: (error: unknown) => void,
  { config, store: given, shared, once, trips, circuits: told, counting, ...options }: StartOptions,
  { workers, figures = counting?.figures ?? new Figures(), counted }: Partial<StartFirstOptions>,
): Promise<RunningGateway & FirstGateway> {
  const { budgetFile = NO_FILE, requestTimeoutMs, bodies = new BodyRoom(), openHandovers = new OpenHandovers() } = options;
  const circuits = told ?? new Circuits((provider, change) => figures.circuit(provider, change));
  const { store, keys, archive, archiving } = records;
  const adminToken = await readOrCreateAdminToken(config.dataDir);
  const upstream = new Upstream();
  let prices = priceBookOf(config);
  // Of several that share a folder one has the book.
  const alertBook = once && shared ? new RemoteBook(once.alertBook) : await openAlertBook(config, { onError });
  const alerts = new Alerts({
    book: alertBook,
    channels: config.channels,
    budgets: config.budgets,
    watched: config.watched,
    timezone: config.timezone,
    linkTo: ({ id, title }, channel, until) => alertLink(baseUrl(), { alert: id, title, channel, until }, alertKey),
    onError,
    lookBack: (since) => hindsight.lookBack(since),
  });
  const alertKey = linkKey(adminToken, "alerts");
  const inFlight = new Map<string, CallInFlight>();
  const switches = openSwitches(config.dataDir, { onError, onChange: () => void endSwitchedOff(switches, inFlight, onError) });
  const { explain: switchedOff } = switches;
  const answers = new Answers();
  const summaries = new Summaries();
  const calibration = new Calibration(config.dataDir, onError);
  await calibration.open();
  const usualAnswers = new UsualAnswers(config.dataDir, onError);
  await usualAnswers.open();
  const guards = new Guards(config.guards, alerts, { book: trips ?? openTripBook(config, onError), onError });
  const telemetry = config.telemetry && (await openTelemetry(config.telemetry, (what, count) => figures.lost(what, count)));
  const events = telemetry ? both(figures, telemetry.events, onError) : figures;
  const onCharge = (id: string, subject: Subject, charge: Charge, takenBack?: Charge) => {
    if (inFlight.has(id)) guards.spent(subject, charge, Date.now());
    events.charged(id, subject, charge, takenBack);
  };
  const onDenial = (subject: Subject, denial: Denial, id: string) => events.denied(id, subject, denial);
  const { budgets: configured, allowances } = config;
  // Others have allotments of it: a call that is made here meets them as a call of theirs does.
  const lent = workers !== undefined && !config.store.redis ? createLeasedStore(borrowed(store), { onError }) : undefined;
  const budgets = new Budgets({ store: lent ?? store, budgets: configured, allowances, prices, switchedOff, onCharge, onDenial, onError });
  const log = new AuditLog(config.dataDir, { onError });
  // Whoever brings a store, or started us, has its ledger.
  const sealer = given || counting ? undefined : new Sealer({ store, log, ledger: ledgerName(config), onError });
  await sealer?.open();
  const hindsight = new Hindsight({ store, budgets, alerts });
  if (!shared) await budgets.adopt();

  const people = new People(config.dataDir, { configured: () => gateway.config.login.people, onError });
  const identifyCaller = (request: IncomingMessage) => identifyRequest(request, { keys, people }, gateway.config, adminToken);
  let ownUrl = "";
  const baseUrl = () => gateway.config.server.publicUrl ?? ownUrl;
  // Of several processes, the one that started the others writes down what is done to all.
  const note = async (what: string, details?: object) => {
    if (!counting) await log.write({ by: "purser", what, details: { ...details } });
  };
  await note("gateway.started", { ...startDetails(config), ...(workers !== undefined && { workers }) });
  const askBook = new AskBook({ budgets, store, alerts, adminToken, baseUrl, log });
  const bills = { found: async () => captured.state };
  // Of several that share a folder each would make all calls that wait there.
  const here = { directory: config.dataDir, keys, gateway: () => gateway, alertBook, asks: askBook, bills, onError };
  const keepHandovers = () =>
    HandoverBook.open({
      directory: config.dataDir,
      budgets: config.budgets,
      open: openHandovers,
      alerts,
      log,
      adminToken,
      baseUrl,
      onError,
    });
  const doer = once ? undefined : await OwnOnce.open({ ...here, handovers: await keepHandovers() });
  const done = (once ?? doer) as DoneOnce;
  const { queue, batches, attempts } = done;
  const asks = new Asks({ book: done.asks, budgets, onError });
  const handovers = new Handovers({ book: done.handovers, open: openHandovers, budgets: config.budgets });
  let gateway: Gateway = {
    config,
    budgets,
    prices,
    upstream,
    route: createRouter(config),
    bodies,
    alerts,
    guards,
    asks,
    queue,
    handovers,
    batches,
    log,
    events,
    ...(telemetry && { traceHeaders: (id: string) => telemetry.traceHeaders(id) }),
    answers,
    summaries,
    calibration,
    promptCaches: new PromptCaches(),
    circuits,
    usualAnswers,
    sentBefore: new SentBefore(),
    inFlight,
    identify: identifyCaller,
    newId: createIds(),
    onError,
  };
  let isDraining = false;
  const calls = new Set<Promise<void>>();
  const pricesNow: PriceSource = { card: (...model) => gateway.prices.card(...model) };
  const decisions = new Decisions({ budgets, store, alerts, prices: pricesNow, known: () => gateway, isDraining: () => isDraining });
  const timeZone = () => gateway.config.timezone;
  const kept = { store, keys, switches, alerts, log, ...(archive && { archive }) };
  const openSums = (zone: string) => openRollups({ directory: config.dataDir, ledger: store, timeZone: zone });
  let rollups = await openSums(config.timezone);
  const readEvidence = readEvidenceFrom(
    () => rollups,
    () => gateway.config,
  );
  const adjust = () => adjustBudgets({ budgets, read: readEvidence, alerts, log, config: gateway.config });
  const live = new Live(store, onError);
  const minutes = new Minutes({ ledger: store, onError });
  const running = {
    config: () => gateway.config,
    priceBook: () => prices,
    rollups: () => rollups,
    readEvidence,
    live,
    minutes,
    people,
    asks,
    guards,
    queue,
    handovers: handovers.book,
    budgetFile,
    onError,
  };
  const promised = {
    configured: () => gateway.config.budgets,
    commitments: () => gateway.config.commitments,
    configuredAllowances: () => gateway.config.allowances,
  };
  const own = createAdmin({ ...kept, ...promised, budgets, prices: pricesNow, decisions, timeZone, running });
  const isSecure = () => gateway.config.server.publicUrl?.startsWith("https:") === true;
  const pace = new Pace({
    alerts,
    spent: (...query) => rollups.spent(...query),
    balances: (budget) => budgets.balances({ budget }),
    days: () => rollups,
    trial: (budget) => trialOf(budget, rollups, Date.now(), guardedBudgets(gateway.config)),
    timeZone,
  });
  pace.configure(config.watched);
  const failing = new Failing({ alerts, counted: counted ?? (() => figures.counted()) });
  failing.configure(doer ? config.failing : []);
  const reported = createFigures({ store, archive, rollups: () => rollups, onError });
  const captured = new Captured({
    alerts,
    providers: () => askableProviders(gateway.config),
    bill: (provider, days) => fetchBill({ provider, days, config: gateway.config }),
    ledger: (days) => readLedgerLines(reported, days),
    committed: (days) =>
      readCommittedLines(gateway.config.commitments, { figures: reported, timeZone: timeZone() }, { ...days, now: Date.now() }),
    prices: () => prices,
  });
  captured.configure(doer ? config.captured : []);
  const unused = new Unused({
    alerts,
    read: () => readCommitments(gateway.config.commitments, { figures: reported, timeZone: timeZone(), now: Date.now() }),
  });
  unused.configure(doer ? config.unused : []);
  const agreed = new Agreed({ alerts, allowances: () => budgets.allowances(), agreements: () => agreementsOf(gateway.config) });
  agreed.configure(doer ? config : NOTHING_AGREED);
  const sums = async () => {
    await rollups.catchUp();
    if (!rollups.progress.isComplete) return;
    await pace.look();
    await unused.look();
  };
  const oidcConfig = () => gateway.config.login.oidc;
  const sessions = new Sessions({ keys, people, issuer: () => oidcConfig()?.issuer, adminToken, isSecure });
  const oidc = new Oidc({ config: oidcConfig, key: linkKey(adminToken, "signing in"), baseUrl, isSecure });
  const admin: Admin = shared ? (request) => (isAboutDecisions(request) ? shared.decide(request) : own(request)) : own;
  const audits = new Audits({ store, onError });
  const standing = new Standing({
    budgets,
    store,
    configured: () => gateway.config.budgets,
    dataDir: config.dataDir,
    ...(archiving && { lag: () => archiving.lag() }),
    noticesWaiting: () => alerts.waitingInAll(),
    queue,
    handovers: handovers.book,
    switchedOff: () => switches.list().filter((one) => isInForce(one, Date.now())).length,
    bills: () => done.bills.found(),
    commitments: () => unused.standings,
    onError,
  });
  const startedAt = performance.timeOrigin;
  const read = counting?.read ?? (async () => ({ counted: figures.snapshot(), audit: audits.state, startedAt }));
  const toServer = (): ServerState => ({
    gateway: () => gateway,
    admin,
    keys,
    log,
    answering: { alerts, log, key: alertKey, timeZone },
    metrics: () => writeMetrics(standing, read),
    isDraining: () => isDraining,
    isStoreDown: () => store.failure?.() !== undefined,
    calls,
    screen: {
      files: readScreenFiles(),
      sessions,
      people,
      isConfigured: (name) => gateway.config.login.people.some((one) => one.name === name),
      oidc,
      provider: oidcConfig,
      attempts,
    },
    ...(archiving && { lag: () => archiving.lag() }),
    ...(requestTimeoutMs !== undefined && { requestTimeoutMs }),
  });
  const server = workers === undefined ? createHttpServer(toServer()) : undefined;
  await alerts.start();
  if (server) await listen(server, config.server);
  // What is told from here on has links.
  const { port } = server ? (server.address() as AddressInfo) : config.server;
  const host = config.server.host;
  ownUrl = `http://${host.includes(":") ? `[${host}]` : host}:${port}`;
  // Where others have the port, it is not known yet what links lead to.
  if (server) doer?.handovers.start();
  archiving?.start();
  if (server) loadVocabularies(config).catch(onError);
  captured.look().catch(onError);
  if (server) agreed.look().catch(onError);
  // From here on what is added up is what is told: calls that come before would have to be read.
  sums().catch(onError);
  adjust().catch(onError);
  sealer?.begin().catch(onError);
  const timers = [
    every(EXPIRE_EVERY_MS, async () => hindsight.expired((await budgets.expire()).expired.length), onError),
    every(SUM_EVERY_MS, sums, onError),
    every(SUM_EVERY_MS, async () => failing.look(), onError),
    every(RENEW_EVERY_MS, () => captured.look(), onError),
    every(SUM_EVERY_MS, () => agreed.look(), onError),
    every(SHARE_EVERY_MS, () => shareUnused(budgets, log), onError),
    every(ADJUST_EVERY_MS, adjust, onError),
    every(RENEW_EVERY_MS, async () => asks.forget(), onError),
    every(RENEW_EVERY_MS, async () => askBook.forget(), onError),
    every(RENEW_EVERY_MS, async () => answers.forget(Date.now() - KEPT_MOST_MS), onError),
    every(RENEW_EVERY_MS, async () => summaries.forget(Date.now() - KEPT_MOST_MS), onError),
    every(TICK_EVERY_MS, () => alerts.tick(), onError),
    every(TICK_EVERY_MS, async () => doer?.queue.tick(), onError),
    every(TICK_EVERY_MS, async () => doer?.handovers.tick(), onError),
    every(TICK_EVERY_MS, async () => doer?.batches.tick(), onError),
    every(LOOK_EVERY_MS, async () => switches.look(), onError),
    every(TAKE_OVER_EVERY_MS, () => guards.takeOver(Date.now()), onError),
    every(TICK_EVERY_MS, () => audits.look(), onError),
    every(RENEW_EVERY_MS, async () => log.flush(), onError),
    every(SEAL_EVERY_MS, async () => sealer?.seal(), onError),
    every(RENEW_EVERY_MS, () => calibration.flush(), onError),
    every(RENEW_EVERY_MS, () => usualAnswers.flush(), onError),
    every(RENEW_EVERY_MS, () => renewLeases(budgets, inFlight), onError),
  ];
  let drained: Promise<void> | undefined;
  const drainOnce = () => {
    isDraining = true;
    if (doer && !drained) calls.add(doer.close());
    drained ??= drain(server, calls, upstream, config.server.drainMs);
    return drained;
  };
  return {
    url: ownUrl,
    host,
    port,
    budgets,
    store,
    keys,
    once: done,
    decide: own,
    abandonBatch: (id) => doer?.batches.abandon(id),
    lookBack: () => void hindsight.lookBack(Date.now() - UNSEEN_MS).catch(onError),
    audit: () => audits.state,
    prepare: async (next) => void (await models.read(next)),
    reachedAt: (url) => {
      ownUrl = url;
      doer?.handovers.start();
    },
    drain: () => void drainOnce().catch(onError),
    async reload(next) {
      // What cannot be counted is told before anything is changed.
      const counted = await models.read(next);
      await note("config.changed", budgetChanges(gateway.config.budgets, next.budgets));
      const nextPrices = priceBookOf(next);
      const configuration = { budgets: next.budgets, prices: nextPrices, allowances: next.allowances };
      await budgets.configure(configuration, shared?.untilAdopted);
      alerts.configure(next);
      pace.configure(next.watched);
      failing.configure(doer ? next.failing : []);
      captured.configure(doer ? next.captured : []);
      unused.configure(doer ? next.unused : []);
      agreed.configure(doer ? next : NOTHING_AGREED);
      guards.configure(next.guards);
      doer?.queue.askAgain();
      // What was said is kept as long as a ladder asks for it.
      const rungs = next.budgets.flatMap(({ ladder }) => ladder.flatMap((step) => step.rungs));
      if (!rungs.some(({ kind }) => kind === "cache")) answers.forget();
      if (!rungs.some((rung) => rung.kind === "cache" && rung.nearness !== undefined)) answers.forgetQuestions();
      if (!rungs.some(({ kind }) => kind === "summarise")) summaries.forget();
      if (next.timezone !== gateway.config.timezone) {
        await rollups.close();
        rollups = await openSums(next.timezone);
      }
      models.use(counted);
      prices = nextPrices;
      circuits.forget();
      gateway = { ...gateway, config: next, prices: nextPrices, route: createRouter(next) };
      handovers.configure(next.budgets);
      doer?.handovers.configure(next.budgets);
      // What another rule had decided ends with it.
      await adjust().catch(onError);
    },
    async close() {
      await drainOnce();
      await doer?.handovers.close();
      for (const timer of timers) clearInterval(timer);
      await calibration.flush().catch(onError);
      await usualAnswers.flush().catch(onError);
      await rollups.close();
      minutes.close();
      await audits.close();
      hindsight.close();
      guards.close();
      await budgets.close();
      await lent?.close();
      await sealer?.end().catch(onError);
      await note("gateway.stopped").catch(onError);
      await log.close();
      await telemetry?.close();
      await alerts.close();
      await records.close();
      models.close();
    },
  };
}

const NO_FILE = fixedBudgets("This gateway has no file of its own. Change the budget where its configuration comes from.");

/** What was agreed on with providers and ends some day. */
function agreementsOf({ allowances, commitments }: Config): readonly Agreement[] {
  const ofAllowances = allowances.flatMap(({ name, until, limit: { window } }): Agreement[] =>
    until === undefined ? [] : [{ kind: "allowance", name, until, timeZone: window.kind === "calendar" ? window.timeZone : "UTC" }],
  );
  const ofCommitments = commitments.flatMap(({ name, until, timeZone }): Agreement[] =>
    Number.isFinite(until) ? [{ kind: "commitment", name, until, timeZone }] : [],
  );
  return [...ofAllowances, ...ofCommitments];
}

/** Reading a vocabulary takes a moment, once. Those of the providers in use are read now, so that no call waits for them. */
async function loadVocabularies({ providers }: Config): Promise<void> {
  const used = providers.filter(({ apiKey }) => apiKey !== undefined);
  const names = new Set(used.flatMap(({ models }) => models.map((pattern) => encodingOf(pattern.replaceAll("*", "")).encoding)));
  for (const name of names) await loadEncoding(name);
}

/** In the first minute, while everything is open, every caller is the owner. */
function identifyRequest(
  request: IncomingMessage,
  { keys, people }: { readonly keys: Keys; readonly people: Pick<People, "isEmpty"> },
  config: Config,
  adminToken: string,
): Identified {
  const ownerMode = isOpenToAll(config, keys, people);
  if (ownerMode && !isLoopback(hostName(request.headers.host))) {
    return {
      ok: false,
      code: "key_missing",
      message: `The host "${request.headers.host ?? ""}" is not this machine's own name. Use 127.0.0.1 or localhost, or make a key: purser keys create.`,
    };
  }
  return identify(request.headers, request.url ?? "/", keys, { ownerMode, now: Date.now(), adminToken });
}

/** A page in the browser can point a name of its own at this machine; the name in `Host` gives it away. */
function hostName(host = ""): string {
  return host.startsWith("[") ? host.slice(1, host.indexOf("]")) : (host.split(":")[0] as string);
}

/** What keeps a server from listening, in words that say what to do. */
const LISTEN_FAILURES: Readonly<Record<string, (host: string, port: number) => string>> = {
  EADDRINUSE: (host, port) => `Port ${port} on ${host} is in use. Stop what listens there, or choose another with --port.`,
  EADDRNOTAVAIL: (host) => `${host} is no address of this machine. Listen on 127.0.0.1, or on 0.0.0.0 for all its addresses.`,
  ENOTFOUND: (host) => `${host} is no address of this machine. Listen on 127.0.0.1, or on 0.0.0.0 for all its addresses.`,
  EACCES: (_host, port) => `Port ${port} needs rights that this process does not have. Choose one from 1024 up with --port.`,
};

function listen(server: Server, { host, port }: Config["server"]): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", (cause: NodeJS.ErrnoException) => {
      const what = LISTEN_FAILURES[cause.code ?? ""]?.(host, port) ?? `Port ${port} on ${host} cannot be listened on: ${cause.message}.`;
      reject(new PurserError("config_invalid", what, { cause }));
    });
    server.listen(port, host, resolve);
  });
}

/** Running calls get `drainMs` to end, and new ones are told to come back. What is left then is cut, and settled as any cut call is. */
async function drain(server: Server | undefined, calls: ReadonlySet<Promise<void>>, upstream: Upstream, drainMs: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<"late">((resolve) => {
    timer = setTimeout(() => resolve("late"), drainMs);
  });
  const isLate = (await Promise.race([Promise.allSettled(calls), late])) === "late";
  clearTimeout(timer);
  const closed = new Promise<void>((resolve) => (server ? server.close(() => resolve()) : resolve()));
  if (isLate) {
    await upstream.destroy();
    // Whoever waits for an answer gets one; whoever is still sending a request cannot hold us up.
    const cut = setTimeout(() => server?.closeAllConnections(), CUT_AFTER_MS);
    await Promise.allSettled(calls);
    clearTimeout(cut);
  } else {
    await upstream.close();
  }
  server?.closeAllConnections();
  await closed;
}

function every(intervalMs: number, work: () => Promise<unknown>, onError: (error: unknown) => void): NodeJS.Timeout {
  const timer = setInterval(() => work().catch(onError), intervalMs);
  timer.unref();
  return timer;
}

/** Streams of what is switched off do not run on. */
async function endSwitchedOff(switches: Switches, inFlight: Gateway["inFlight"], onError: (error: unknown) => void): Promise<void> {
  const ends = [...inFlight.values()].map((call) => {
    const message = switches.explain(call.subject);
    return message === undefined ? undefined : call.end("switched_off", message).catch(onError);
  });
  await Promise.all(ends);
}

const ID_BYTES = 9;
/** Random bytes for so many ids are drawn at a time: one draw costs as much as a hundred slices. */
const IDS_DRAWN = 256;

/** Makes ids of `req_`, the time, and 72 random bits: an index over ids that ascend by time stays small and warm. */
function createIds(): () => string {
  let drawn = Buffer.alloc(0);
  let at = 0;
  let now = 0;
  let time = "";
  return () => {
    const lately = Date.now();
    // To write a number in base 36 costs more than all the rest, and many calls come in the same millisecond.
    if (lately !== now) time = lately.toString(36);
    now = lately;
    if (at + ID_BYTES > drawn.length) {
      drawn = randomBytes(ID_BYTES * IDS_DRAWN);
      at = 0;
    }
    at += ID_BYTES;
    return `req_${time}${drawn.toString("base64url", at - ID_BYTES, at)}`;
  };
}
