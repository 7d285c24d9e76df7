import type { ConfiguredRoute } from "../../packages/gateway/dist/providers/routing.js";
import type { Dice } from "./dice.js";
import { finishingPlan } from "./finishing.js";
import type { NetworkFaults } from "./network.js";
import { enlarged, firstPlan, type PlannedBudget, planOnTrial } from "./plan.js";
import { adjustingPlan } from "./plan-adjusting.js";
import { sharingPlan } from "./plan-sharing.js";
import { drawRoutes } from "./routes.js";
import { weighedPlan } from "./weighing.js";

/** Where the balances of a simulation live. */
export type StoreKind = "embedded" | "remote";

/** What a simulation is about, drawn from its seed: how much of everything, and how bad it is. Rates are by the minute. */
export interface Scenario {
  readonly store: StoreKind;
  readonly gateways: number;
  readonly startsAt: number;
  readonly minutes: number;
  readonly plan: readonly PlannedBudget[];
  /** Whether limits can have windows that move with the time. */
  readonly hasMoving: boolean;
  /** Whether budgets weigh their tokens. */
  readonly hasWeights: boolean;
  readonly callRate: number;
  /** Of calls that programs make which have their budgets in themselves, and of those that another gateway sends, and asks about. */
  readonly programShare: number;
  readonly neighbourShare: number;
  readonly disconnectChance: number;
  readonly drains: boolean;
  readonly expireEveryMs: number;
  readonly trouble: number;
  readonly canBeSlow: boolean;
  /** Several providers for one model, where there are; and how often one of them fails for a while. */
  readonly routes: readonly ConfiguredRoute[];
  readonly outageRate: number;
  /** How often gateways look whether something unused is to be moved; 0 where no budget shares. */
  readonly shareEveryMs: number;
  /** How often they look whether limits are to follow what was used of them; 0 where none does. */
  readonly adjustEveryMs: number;
  readonly network: NetworkFaults;
  readonly storeTimeoutMs: number;
  readonly storeTries: number;
  readonly diskFailureChance: number;
  readonly diskSlowChance: number;
  /** At each event that a gateway is to take. */
  readonly crashChance: number;
  readonly pauseRate: number;
  readonly partitionRate: number;
  /** Changes of the configuration; and grants, their ends, and resets. */
  readonly changeRate: number;
  readonly favourRate: number;
  /** Time that passes while nobody runs. */
  readonly leapRate: number;
  /** Clocks that are wrong, and are put right or wrong. */
  readonly skewMostMs: number;
  readonly skewRate: number;
}

const DAY_MS = 86_400_000;
const HOUR_MS = 3_600_000;
const SLICES_KEPT_MS = 600_000;

/** Where calendars are hard: clocks put forwards and back, ends of months and years, a leap day. And any other time. */
const STARTS: readonly ((dice: Dice) => number)[] = [
  () => Date.UTC(2026, 2, 29, 0, 55),
  () => Date.UTC(2026, 9, 25, 0, 50),
  () => Date.UTC(2026, 2, 8, 6, 55),
  () => Date.UTC(2026, 10, 1, 5, 50),
  () => Date.UTC(2026, 3, 4, 14, 50),
  () => Date.UTC(2026, 11, 31, 22, 55),
  () => Date.UTC(2028, 1, 28, 23, 55),
  (dice) => Date.UTC(2026, 0, 1) + dice.between(0, 1_000) * DAY_MS + dice.between(0, DAY_MS),
  (dice) => Date.UTC(2026, 0, 1) + dice.between(1, 1_000) * DAY_MS - dice.between(0, 600_000),
];

/** A scenario of so many minutes. What was added later is drawn from dice of its own, so that a seed keeps what it had. Each kind of trouble is absent from most of them, so that each is met alone and with others. */
export function drawScenario(dice: Dice, more: Dice, minutes: number): Scenario {
  const store: StoreKind = dice.chance(0.5) ? "embedded" : "remote";
  const sometimes = (chance: number, least: number, most: number) => (dice.chance(chance) ? least + (most - least) * dice.roll() : 0);
  const hasSkew = dice.chance(0.3);
  const skewMostMs = hasSkew ? dice.magnitude(10, store === "embedded" ? 5 * DAY_MS : HOUR_MS) : 0;
  // What moves out of a window is soon forgotten, and a clock that goes back for longer has nothing to go by.
  const hasMoving = dice.chance(0.5) && !(hasSkew && (store === "remote" || 2 * skewMostMs > SLICES_KEPT_MS));
  const scenario: Scenario = {
    store,
    gateways: store === "embedded" ? 1 : dice.between(1, 4),
    startsAt: dice.pick(STARTS)(dice),
    minutes,
    plan: firstPlan(dice, { hasMoving, hasWeights: false }),
    hasMoving,
    hasWeights: false,
    callRate: dice.magnitude(2, 60),
    programShare: sometimes(0.7, 0.3, 1),
    neighbourShare: sometimes(0.5, 0.1, 0.7),
    disconnectChance: sometimes(0.5, 0.02, 0.3),
    drains: dice.chance(0.3),
    expireEveryMs: dice.pick([1_000, 5_000, 20_000]),
    trouble: sometimes(0.7, 0.05, 0.6),
    canBeSlow: dice.chance(0.3),
    routes: [],
    outageRate: 0,
    shareEveryMs: 0,
    adjustEveryMs: 0,
    network: {
      lossChance: sometimes(0.4, 0.01, 0.2),
      duplicateChance: sometimes(0.4, 0.01, 0.3),
      delayChance: sometimes(0.4, 0.001, 0.1),
    },
    storeTimeoutMs: dice.pick([300, 1_000, 5_000]),
    storeTries: dice.between(1, 3),
    diskFailureChance: sometimes(0.3, 0.005, 0.1),
    diskSlowChance: sometimes(0.3, 0.01, 0.2),
    crashChance: sometimes(0.4, 0.0005, 0.01),
    pauseRate: sometimes(0.2, 0.05, 0.5),
    partitionRate: sometimes(0.2, 0.05, 0.5),
    changeRate: sometimes(0.5, 0.1, 1),
    favourRate: sometimes(0.4, 0.1, 2),
    leapRate: sometimes(0.4, 0.05, 0.5),
    skewMostMs,
    skewRate: hasSkew ? sometimes(0.7, 0.1, 1) : 0,
  };
  const routed = more.chance(0.4) ? withRoutes(scenario, more) : scenario;
  const shared = more.chance(0.4) ? withSharing(routed, more) : routed;
  const weighed = more.chance(0.4) ? { ...shared, plan: weighedPlan(shared.plan, more), hasWeights: true } : shared;
  const tried = more.chance(0.4) ? { ...weighed, plan: planOnTrial(weighed.plan, weighed.startsAt, minutes, more) } : weighed;
  const ending = more.chance(0.3) ? withLastAnswers(tried, more) : tried;
  return more.chance(0.4) ? withAdjusting(ending, more) : ending;
}

/** Days and longer periods end in the middle of more simulations: only then something is decided. */
function withAdjusting(scenario: Scenario, dice: Dice): Scenario {
  const { plan, leapRate } = scenario;
  return {
    ...scenario,
    plan: adjustingPlan(plan, dice),
    adjustEveryMs: dice.pick([5_000, 30_000, 60_000]),
    leapRate: Math.max(leapRate, dice.chance(0.7) ? 0.3 : 0),
  };
}

function withSharing(scenario: Scenario, dice: Dice): Scenario {
  return { ...scenario, plan: sharingPlan(scenario.plan, dice), shareEveryMs: dice.pick([2_000, 15_000, 60_000]) };
}

/** Tasks that end: only a gateway makes their last answers, and only where no other budget refuses before. */
function withLastAnswers(scenario: Scenario, dice: Dice): Scenario {
  const { plan, programShare, neighbourShare } = scenario;
  return {
    ...scenario,
    programShare: programShare / 4,
    neighbourShare: neighbourShare / 4,
    plan: finishingPlan(enlarged(plan, dice.magnitude(2, 50)), dice),
  };
}

/** Several providers for one model: that only shows where there is room for calls, and where some of them fail. */
function withRoutes(scenario: Scenario, dice: Dice): Scenario {
  const { plan, trouble, programShare, neighbourShare } = scenario;
  return {
    ...scenario,
    routes: drawRoutes(dice),
    outageRate: dice.chance(0.6) ? 0.1 + dice.roll() : 0,
    trouble: Math.max(trouble, 0.1 + 0.5 * dice.roll()),
    programShare: programShare / 4,
    neighbourShare: neighbourShare / 4,
    plan: enlarged(plan, dice.magnitude(1, 50)),
  };
}
