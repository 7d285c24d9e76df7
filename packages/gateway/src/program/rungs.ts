import type { Budgets, Rung } from "@purser/core";
import { callOf } from "../budgeted-call.ts";
import type { Config } from "../config/config.ts";
import type { Provider } from "../providers/provider.ts";
import type { Router } from "../providers/routing.ts";
import { Answers } from "../rungs/answers.ts";
import { type Climber, climb, type RoutedCall, routedCall, textOf } from "../rungs/climb.ts";
import { knownAnswer, readyRung, readyTextAfter } from "../rungs/known-answers.ts";
import { modelInPath } from "../rungs/other-call.ts";
import { PromptCaches } from "../rungs/prompt-caches.ts";
import type { AskedOnLadder, OnLadder } from "./budgeted-fetch.ts";

/** What climbs as in the gateway. The others need its people, its disk or its connections. */
const CLIMBED: ReadonlySet<Rung["kind"]> = new Set(["use", "shorten", "trim", "slow", "answer", "lookup", "block"]);

export interface RungsOptions {
  readonly budgets: Budgets;
  readonly config: () => Config;
  readonly route: () => Router;
  /** The provider of a name. */
  readonly provider: (name: string) => Provider;
}

const NOTHING_LEARNED: Climber["calibration"] = { marginOf: () => undefined };

/** The rungs of a configuration that act in a program: the same ones by the same rules as in the gateway. */
export class Rungs {
  readonly #options: RungsOptions;
  readonly #promptCaches = new PromptCaches();
  /** Nothing is kept in a program; what stands in a list is answered. */
  readonly #answers = new Answers();

  constructor(options: RungsOptions) {
    this.#options = options;
  }

  async climb({ id, call: asked, names, subject }: AskedOnLadder): Promise<OnLadder> {
    const { budgets, config, provider } = this.#options;
    if (!budgets.hasLadders) return { call: asked, waitMs: 0 };
    const routed = routedCall(asked, { key: undefined, subject }, { provider: provider(asked.subject.provider ?? "") }, names);
    const { call, waitMs, end, lookups } = await climb(this.#climberFor(routed), routed);
    const { dialect } = call;
    const known = { id, dialect, call, lookups, cache: undefined, name: undefined };
    const given = knownAnswer({ answers: this.#answers, config: config() }, known, Date.now());
    if (given) {
      budgets.recordAnswer(callOf(id, call), given.known);
      return { given };
    }
    if (end) {
      const text = dialect.writeAnswer && textOf(end.rung);
      const ready = text === undefined ? undefined : { text, rung: readyRung(end.budget.name) };
      return { denied: budgets.block(callOf(id, call, undefined, ready && (() => ready.rung)), end), ready };
    }
    return {
      call,
      waitMs,
      readyAfter: (denial) => readyTextAfter({ config: config() }, dialect, call, denial),
      onUsage: (usage) => this.#promptCaches.saw(call, usage, Date.now()),
    };
  }

  /** A client sends to its own provider, in its own format, to the address that it has made. */
  #climberFor({ provider, dialect, names }: RoutedCall): Climber {
    const { budgets, config, route } = this.#options;
    const cannotSend = (other: RoutedCall) => {
      if (other.provider.name !== provider.name) return `this client sends to ${provider.name}, and not to ${other.provider.name}`;
      if (other.dialect !== dialect) return `this client speaks ${dialect.name}, and not ${other.dialect.name}`;
      return modelInPath(names) === undefined ? undefined : "this client names the model in its address";
    };
    return {
      config: config(),
      budgets,
      prices: budgets,
      route: route(),
      promptCaches: this.#promptCaches,
      calibration: NOTHING_LEARNED,
      asksNobody: true,
      cannotSend,
    };
  }
}

/** What a configuration asks for and no program does, in sentences for whoever runs it. */
export function leftToGateway({ budgets, guards }: Pick<Config, "budgets" | "guards">): readonly string[] {
  const ladders = budgets.flatMap(({ name, ladder }) => {
    const kinds = new Set(ladder.flatMap(({ rungs }) => rungs.map(({ kind }) => kind)).filter((kind) => !CLIMBED.has(kind)));
    return kinds.size === 0 ? [] : [`${[...kinds].join(", ")} in the ladder of "${name}"`];
  });
  return [...ladders, ...guards.map(({ budget }) => `the guard of "${budget.name}"`)];
}
