import { connectPurser } from "../program/connect.ts";
import { openPurser } from "../program/open.ts";

/** What a program of its own is told to do, as JSON in its first argument. */
export interface ProgramOrders {
  /** The configuration that it opens; or the gateway whose budgets it shares. */
  readonly file?: string;
  readonly url?: string;
  /** Where it sends its calls. */
  readonly provider: string;
  /** Of whom its calls are, one call each. */
  readonly users: readonly string[];
}

export type Said = { readonly kind: "ready" } | { readonly kind: "done"; readonly statuses: readonly number[] };

const { file, url = "", provider, users } = JSON.parse(process.argv[2] ?? "{}") as ProgramOrders;
const onNotice = () => undefined;
const purser = file === undefined ? connectPurser({ url, onNotice }) : await openPurser({ file, onNotice });

async function call(user: string): Promise<number> {
  const body = JSON.stringify({ model: "any", user, max_tokens: 20, messages: [{ role: "user", content: "Count me." }] });
  const send = purser.fetch({ subject: { user }, provider: "mock" });
  const response = await send(`${provider}/chat/completions`, { method: "POST", body, headers: { "content-type": "application/json" } });
  await response.text();
  return response.status;
}

function say(said: Said): void {
  process.send?.(said);
}

process.once("message", async () => {
  const statuses = await Promise.all(users.map(call));
  await purser.close();
  say({ kind: "done", statuses });
  process.disconnect();
});
say({ kind: "ready" });
