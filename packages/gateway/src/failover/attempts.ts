import { setTimeout as wait } from "node:timers/promises";
import { type Admitted, callOf, reserveCall } from "../budgeted-call.ts";
import type { Gateway } from "../gateway.ts";
import { heldAsUsual } from "../holds/held-as-usual.ts";
import type { Outcome } from "../outcome.ts";
import { type FailoverTarget, missingKey } from "../providers/routing.ts";
import { asItCame, type Climbed, climb, type RoutedCall } from "../rungs/climb.ts";
import { callAt } from "../rungs/other-call.ts";
import { reserveOrFinish } from "../rungs/reserve-or-finish.ts";
import { attemptId } from "./attempt-id.ts";
import { nextCandidate } from "./choice.ts";
import { endText, isRetriedAfter, isRetriedOn } from "./retry.ts";

/** What attempts need of the gateway. */
export type AttemptsParts = Pick<
  Gateway,
  "config" | "budgets" | "prices" | "route" | "promptCaches" | "calibration" | "alerts" | "circuits" | "events" | "usualAnswers"
>;

/** A call that was admitted, on its way to one provider. */
export interface Attempt {
  /** It is held and charged under an id of its own. */
  readonly id: string;
  readonly call: RoutedCall;
  /** None for a call that is free. */
  readonly decision: Admitted | undefined;
}

/** How one of the providers stands with this call. */
interface Standing {
  readonly target: FailoverTarget;
  tries: number;
  isOut: boolean;
  notBefore: number;
}

/**
 * The attempts of one request at the providers of its model, one after the other. The next one is admitted by its budgets anew when the one
 * before is settled. A call without a list has one attempt, and costs nothing here.
 */
export class Attempts {
  readonly #gateway: AttemptsParts;
  /** The call as its ladders left it, at the provider by which it was routed. */
  readonly #routed: RoutedCall;
  readonly #standings: readonly Standing[];
  /** Why it is not made at providers that come before, for the ledger. */
  readonly #tried: string[] = [];
  #request: string | undefined;
  #numbered = 1;
  #made = 0;
  /** Providers that cannot take the call. Nobody else is asked once more in their place. */
  #leftOut = 0;
  #current: Standing | undefined;

  constructor(gateway: AttemptsParts, routed: RoutedCall) {
    this.#gateway = gateway;
    this.#routed = routed;
    this.#standings = (routed.failover?.targets ?? []).map((target) => ({ target, tries: 0, isOut: false, notBefore: 0 }));
  }

  /** How many attempts were made. */
  get made(): number {
    return this.#made;
  }

  /** The call at the first of its providers that can take it and does not fail lately. It is left as it came where none of them can take it. */
  async first(climbed: Climbed): Promise<Climbed> {
    for (;;) {
      const choice = this.#choose();
      if (!choice) return climbed;
      const first = await this.#climbedAt(choice.standing, climbed);
      if (first) return first;
    }
  }

  /** Whether there is somewhere to go on to, should the attempt under way fail: then nothing of it may be passed on that is no answer. */
  get mayGoOn(): boolean {
    const { failover } = this.#routed;
    return failover !== undefined && this.#made + this.#leftOut < failover.retry.attempts && this.#choice() !== undefined;
  }

  /** Whether a refusal with this status is one after which the call goes on. */
  goesOnAfter(status: number): boolean {
    const { failover } = this.#routed;
    return failover !== undefined && isRetriedOn(failover.retry, status) && this.mayGoOn;
  }

  /** An attempt goes out. */
  sent({ call }: Attempt): void {
    this.#made++;
    if (this.#current) this.#current.tries++;
    if (call.failover) this.#gateway.circuits.tried(call, Date.now());
  }

  /** An attempt is over. Returns whether the call is to go on. */
  ended({ call }: Attempt, outcome: Outcome): boolean {
    const { failover } = this.#routed;
    if (!failover) return false;
    const { circuits } = this.#gateway;
    const now = Date.now();
    if (!isRetriedAfter(failover.retry, outcome)) {
      if (outcome.kind === "refused" || (outcome.kind === "answered" && outcome.isWhole)) circuits.answered(call);
      return false;
    }
    const retryAfterMs = outcome.kind === "refused" ? outcome.retryAfterMs : undefined;
    circuits.failed(call, now, retryAfterMs);
    if (this.#current) this.#current.notBefore = now + (retryAfterMs ?? 0);
    this.#tried.push(`${call.provider.name} ${endText(outcome)}`);
    return this.mayGoOn;
  }

  /**
   * The next attempt after one that was settled: at the next provider whose budgets admit it. Nothing where there is none, or the caller is
   * gone.
   */
  async next({ id: before, call: { provider } }: Attempt, outcome: Outcome, gone: () => AbortSignal): Promise<Attempt | undefined> {
    const { alerts, events } = this.#gateway;
    this.#request ??= before;
    while (this.mayGoOn && !gone().aborted) {
      const choice = this.#choose();
      if (!choice || !(await waited(choice.waitMs, gone))) return undefined;
      const climbed = await this.#climbedAt(choice.standing);
      if (!climbed) continue;
      const { call: chosen, end } = climbed;
      const usual = heldAsUsual(this.#gateway, chosen);
      const id = attemptId(this.#request, ++this.#numbered);
      const { call, decision } = await this.#reserved(id, usual, end, gone);
      if (decision) alerts.decided(decision);
      if (decision?.outcome === "denied") {
        this.#leaveOut(choice.standing, `was not asked: ${decision.denial.message}`);
        continue;
      }
      events.wentOn(this.#request, provider.name, outcome);
      return { id, call, decision };
    }
    return undefined;
  }

  async #reserved(id: string, call: RoutedCall, end: Climbed["end"], gone: () => AbortSignal) {
    if (call.dialect.isFree) return { call, decision: undefined };
    const { budgets } = this.#gateway;
    if (end) return { call, decision: budgets.block(callOf(id, call), end) };
    return reserveOrFinish(this.#gateway, call, (asking, terms) => reserveCall(budgets, id, asking, gone, terms));
  }

  #choice() {
    const now = Date.now();
    const candidates = this.#standings.map(({ target: { route }, tries, isOut, notBefore }) => {
      return { tries, isOut, notBefore, isPassedOver: this.#gateway.circuits.isPassedOver(route, now) };
    });
    return nextCandidate(candidates, { now, waitMsMost: this.#routed.failover?.retry.waitMs ?? 0, dice: Math.random() });
  }

  #choose(): { readonly standing: Standing; readonly waitMs: number } | undefined {
    const choice = this.#choice();
    if (!choice) return undefined;
    for (const { target, tries, isOut } of this.#standings.slice(0, choice.index)) {
      const text = `${target.route.provider.name} was passed over, because it fails lately`;
      if (tries === 0 && !isOut && !this.#tried.includes(text)) this.#tried.push(text);
    }
    return { standing: this.#standings[choice.index] as Standing, waitMs: choice.waitMs };
  }

  /** The call at a provider, as its ladders leave it there; nothing where it cannot go there, which is noted. */
  async #climbedAt(standing: Standing, own?: Climbed): Promise<Climbed | undefined> {
    this.#current = standing;
    const gateway = this.#gateway;
    const { route, dialect } = standing.target;
    const routed = this.#routed;
    const isOwn = route.provider.name === routed.provider.name && route.sentAs === routed.sentAs && dialect === routed.dialect.name;
    if (isOwn) {
      const because = this.#cannotGo();
      if (because !== undefined) return this.#leaveOut(standing, because);
      return this.#noted(own ?? asItCame(routed));
    }
    const moved = callAt(gateway, routed, standing.target);
    if ("because" in moved) return this.#leaveOut(standing, `was left out: ${moved.because}`);
    if (moved.dialect.isFree) return this.#noted(asItCame(moved));
    const climbed = await climb(gateway, moved);
    const { rungs } = climbed.call;
    return this.#noted(rungs ? { ...climbed, call: { ...climbed.call, rungs: [...new Set(rungs)] } } : climbed);
  }

  /** Why the call cannot stay with the provider by which it was routed, where others could take it. */
  #cannotGo(): string | undefined {
    const { caller, provider, subject } = this.#routed;
    if (caller.providerKey === undefined && missingKey(provider) !== undefined) return "was left out: it has no key";
    return this.#gateway.budgets.switchedOff(subject) === undefined ? undefined : "was left out: it is switched off";
  }

  #noted(climbed: Climbed): Climbed {
    return this.#tried.length === 0 ? climbed : { ...climbed, call: { ...climbed.call, tried: [...this.#tried] } };
  }

  #leaveOut(standing: Standing, text: string): undefined {
    standing.isOut = true;
    this.#leftOut++;
    this.#tried.push(`${standing.target.route.provider.name} ${text}`);
  }
}

/** Whether it was waited for so long, and not given up. */
async function waited(waitMs: number, gone: () => AbortSignal): Promise<boolean> {
  if (waitMs === 0) return true;
  return wait(waitMs, true, { signal: gone() }).catch(() => false);
}
