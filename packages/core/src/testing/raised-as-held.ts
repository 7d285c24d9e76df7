import type { Command, ReserveCommand } from "../domain/command.ts";

/** A sequence in which calls are asked to be held more of on the limits on which they are held, most of the time: else all would be refused. */
export function raisedAsHeld<Step extends { readonly kind: string }>(sequence: readonly Step[]): readonly Step[] {
  const held = new Map<string, ReserveCommand>();
  return sequence.map((step) => {
    const { command } = step as { readonly command?: Command };
    if (command?.kind === "reserve" && !held.has(command.id)) held.set(command.id, command);
    if (command?.kind === "settle" || command?.kind === "release") held.delete(command.id);
    const call = command?.kind === "extend" && command.more && command.leaseMs % 8 !== 0 ? held.get(command.id) : undefined;
    if (command?.kind !== "extend" || !command.more || !call) return step;
    const { least, most } = command.more.output;
    const output = { least: Math.min(least, call.output.least + 1), most: call.output.least + most };
    return { ...step, command: { ...command, more: { limits: call.limits, asks: call.asks, output } } };
  });
}
