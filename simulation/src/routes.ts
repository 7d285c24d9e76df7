import { RETRIED_ON } from "../../packages/gateway/dist/failover/retry.js";
import type { ConfiguredRoute, RouteEntry } from "../../packages/gateway/dist/providers/routing.js";
import type { Dice } from "./dice.js";

/** Who serves the models of one pattern: in the format of their calls, and by another model in another format. */
interface Served {
  readonly pattern: string;
  readonly same: readonly RouteEntry[];
  readonly other: RouteEntry;
}

const SERVED: readonly Served[] = [
  {
    pattern: "gpt-*",
    same: [{ provider: "openai" }, { provider: "mirror", model: "openai/*" }, { provider: "backup" }],
    other: { provider: "anthropic", model: "claude-sonnet-4-5" },
  },
  {
    pattern: "claude-*",
    same: [{ provider: "anthropic" }, { provider: "backup" }],
    other: { provider: "openai", model: "gpt-5" },
  },
];

const STATUSES: readonly (readonly string[])[] = [RETRIED_ON, ["429", "5xx", "unreachable"], [...RETRIED_ON, "4xx"]];

/** All providers of each model that get its calls as they are, each once. */
export const ROUTES: readonly ConfiguredRoute[] = SERVED.map(({ pattern, same }) => {
  return { pattern, entries: same, retry: { attempts: same.length, on: new Set(RETRIED_ON), waitMs: 2_000 } };
});

/** Several providers for each model, in any order, and when a call goes on to the next. */
export function drawRoutes(dice: Dice): readonly ConfiguredRoute[] {
  return SERVED.map((served) => drawRoute(served, dice));
}

function drawRoute({ pattern, same, other }: Served, dice: Dice): ConfiguredRoute {
  const entries = shuffled(same, dice).slice(0, dice.between(1, same.length));
  if (dice.chance(0.4)) entries.splice(dice.between(0, entries.length), 0, other);
  const attempts = Math.max(2, entries.length + dice.between(-1, 2));
  return { pattern, entries, retry: { attempts, on: new Set(dice.pick(STATUSES)), waitMs: dice.pick([0, 500, 2_000, 20_000]) } };
}

function shuffled<One>(list: readonly One[], dice: Dice): One[] {
  const left = [...list];
  return list.map(() => left.splice(dice.between(0, left.length - 1), 1)[0] as One);
}

/** How often a call to a model may be made at most. */
export function attemptsMost(routes: readonly ConfiguredRoute[], model: string): number {
  const route = routes.find(({ pattern }) => model.startsWith(pattern.replace("*", "")));
  return route?.retry?.attempts ?? 1;
}
