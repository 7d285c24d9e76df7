import type { Applied, Command, Results } from "./command.ts";
import { decideExpire, decideExtend, decideRelease, decideSettle } from "./ending.ts";
import type { LeaseCommand } from "./lease.ts";
import { applyLease } from "./lend.ts";
import { decideRecord } from "./record.ts";
import { decideReserve } from "./reserve.ts";
import { evolve, type State } from "./state.ts";

/** Decides a command and evolves the state by the entries it makes. Deterministic; the time comes in. */
export function apply<Kind extends Command["kind"]>(
  state: State,
  command: Extract<Command, { kind: Kind }>,
  now: number,
): Applied<Results[Kind]> {
  if (command.kind === "lease") return applyLease(state, command as LeaseCommand, now) as Applied<Results[Kind]>;
  const decided = decide(state, command as Exclude<Command, LeaseCommand>, now) as Applied<Results[Kind]>;
  for (const entry of decided.entries) evolve(state, entry);
  return decided;
}

function decide(state: State, command: Exclude<Command, LeaseCommand>, now: number): Applied<Results[Command["kind"]]> {
  if (command.kind === "reserve") return decideReserve(state, command, now);
  if (command.kind === "extend") return decideExtend(state, command, now);
  if (command.kind === "settle") return decideSettle(state, command, now);
  if (command.kind === "release") return decideRelease(state, command, now);
  if (command.kind === "expire") return decideExpire(state, command, now);
  return decideRecord(state, command, now);
}
