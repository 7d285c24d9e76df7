import { PurserError, type Subject } from "@purser/core";
import type { CallBudgets } from "../budgeted-call.ts";
import { PRESETS, presetAt } from "../providers/presets/index.ts";
import type { Fetch, ProgramTerms } from "./budgeted-fetch.ts";

export interface FetchOptions extends ProgramFetchOptions {
  readonly budgets: CallBudgets;
  /** The output cap of a call that names none, to a model whose maximum is unknown. 4,096 where it is left out. */
  readonly defaultMaxOutput?: number;
  /** What is held for input that a call names and does not carry, in tokens. What the model can read where it is left out. */
  readonly unseenInput?: number;
}

/** What is said of the calls of one client. */
export interface ProgramFetchOptions {
  /** Who and what calls are charged to; a function is asked for each call. Provider and model are added. */
  readonly subject?: Subject | (() => Subject);
  /** The provider's name, for prices and budgets. Left out, it is known by the host of the call: `api.openai.com` is `openai`. */
  readonly provider?: string;
  /** What sends the calls; the global `fetch` where it is left out. */
  readonly fetch?: Fetch;
}

const DEFAULT_MAX_OUTPUT = 4_096;

/** The calls of a client on budgets, where no file says more of them. */
export function termsOf(options: FetchOptions, idPrefix: string): ProgramTerms {
  const { budgets, subject = {}, provider, defaultMaxOutput = DEFAULT_MAX_OUTPUT, unseenInput, fetch: send = globalThis.fetch } = options;
  return {
    budgets,
    subject,
    placeOf: (url, model) => ({
      provider: { ...(PRESETS.get(provider ?? "") ?? presetAt(url.host)), name: provider ?? providerAt(url) },
      model,
    }),
    defaultMaxOutput: () => defaultMaxOutput,
    unseenInput: () => unseenInput,
    send,
    idPrefix,
  };
}

/** The preset that lives at the host. */
function providerAt({ host }: URL): string {
  const preset = presetAt(host);
  if (preset) return preset.name;
  throw new PurserError(
    "provider_unknown",
    `Purser does not know which provider is at ${host}, so it knows no price. Say it: createFetch({ budgets, provider: "NAME" }).`,
  );
}
