/** Every error code of Purser, once. `docs/reference/errors/` has a page for each; a test holds the two together. */
export const ERROR_CODES = {
  // Wrong input to the library or the configuration.
  amount_invalid: "An amount is not written as a number of dollars or tokens.",
  amount_too_large: "An amount is too large to be counted exactly.",
  limit_invalid: "A limit is not written as `amount [unit] [/ window]`.",
  window_invalid: "A window, time zone or start is not one that exists.",
  ladder_invalid: "A step or a rung of a ladder is not one that exists.",
  price_invalid: "A price is incomplete or not exact.",
  config_invalid: "The configuration file has an unknown or wrong field.",
  config_missing: "The configuration file cannot be read.",
  trace_invalid: "A trace of calls cannot be read.",
  prompts_missing: "The file that lists prompts cannot be read.",
  baseline_missing: "What prompts are to be compared with is not there.",
  bill_invalid: "What a provider billed cannot be read.",
  bill_unavailable: "A provider does not say what it billed.",
  // Refusals of a call.
  budget_exhausted: "A budget has nothing left for this call.",
  budget_busy: "A budget has room, but calls in flight hold it for the moment.",
  rate_limited: "A rate or concurrency limit is reached for the moment.",
  request_too_large: "The call is larger than a budget allows any call to be.",
  model_not_allowed: "A budget does not allow this model.",
  model_unpriced: "The model, or a tool that its provider runs, has no price and a budget limits money.",
  guard_tripped: "The call looks like one of a loop, and a guard stands against it.",
  switched_off: "What the call is for is switched off.",
  handed_over: "The conversation is with a person, and this call cannot carry what they write.",
  // The gateway.
  body_invalid: "The request body is not one that the dialect allows.",
  body_too_large: "The request body is larger than the server accepts.",
  attribute_forbidden: "A header sets an attribute that the key may not set.",
  key_missing: "The call has no key.",
  key_invalid: "The key is not known, or no longer valid.",
  sign_in_slowed: "Too many wrong attempts to sign in came from one address, or for one name.",
  sign_in_refused: "A name and a password do not go together.",
  route_unknown: "The server has no such route, so it cannot meter it.",
  provider_unknown: "No configured provider serves this model.",
  provider_key_missing: "The provider needs a key and none is configured.",
  provider_unreachable: "The provider could not be reached.",
  provider_timeout: "The provider did not answer in time.",
  shutting_down: "The server is draining and takes no new calls.",
  // Changes of budgets while they run.
  budget_unknown: "There is no such budget.",
  config_fixed: "The configuration cannot be changed from here.",
  grant_unknown: "There is no such grant.",
  // Calls that wait for their budget.
  queued_call_unknown: "There is no such queued call of this caller.",
  queued_call_running: "A queued call is being made, or its answer pushed.",
  // Conversations that people go on with.
  handover_unknown: "There is no such handover, or none of this caller.",
  handover_conflict: "Somebody else has the conversation, or it was given back.",
  // Batches.
  batch_unknown: "There is no such batch, or file of one, of this caller.",
  batch_running: "A batch that is not settled yet needs this file.",
  // The store.
  store_unavailable: "The store cannot record the call at the moment.",
  store_unsuitable: "The store is set up so that it could forget balances.",
  store_locked: "Another process owns the data directory.",
  leases_unsupported: "The store does not lend parts of its balances, so it cannot be shared by way of leases.",
  postgres_unusable: "This PostgreSQL database cannot be used as it is.",
  ledger_diverged: "The archive has another history than the ledger.",
  sqlite_unsafe: "This SQLite has a fault that can damage the journal.",
  reservation_unknown: "There is no such reservation.",
  channel_unknown: "There is no such channel.",
  person_unknown: "There is no such person.",
  alert_unknown: "There is no such alert.",
  switch_unknown: "There is no such switch in force.",
  guard_unknown: "No guard stands under this id.",
  internal: "A rule of the program itself was broken.",
} as const;

export type ErrorCode = keyof typeof ERROR_CODES;

/** An error of Purser: a code that has a page in the reference, and a message that says what to do. */
export class PurserError extends Error {
  override readonly name = "PurserError";
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.code = code;
  }
}
