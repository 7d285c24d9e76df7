import type { PlainMessage } from "./plain.ts";
import { Untranslatable } from "./untranslatable.ts";

/** What was called is answered at once, each call once; and a model that had the last word is not to go on with it. */
export function refuseOddTurns(messages: readonly PlainMessage[]): void {
  let called: readonly string[] = [];
  for (const message of messages) {
    if (message.from === "tools") {
      const answered = message.results.map(({ id }) => id);
      const isPaired = called.length === answered.length && called.every((id) => answered.includes(id));
      if (!isPaired) throw new Untranslatable("results of tools do not belong to the calls before them");
    } else if (called.length > 0) throw new Untranslatable("a tool was called whose result is missing");
    called = message.from === "model" ? message.parts.flatMap((part) => (part.kind === "tool-call" ? [part.id] : [])) : [];
  }
  if (messages.at(-1)?.from === "model") throw new Untranslatable("the model is to go on with what it said");
}
