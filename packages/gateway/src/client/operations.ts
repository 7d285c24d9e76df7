// biome-ignore-all format: written by scripts/generate-admin-client.mjs from the description of the API.

export type Overview = {
  readonly at: string;
  readonly time_zone: string;
  /** Whether the sums are of the whole ledger yet. */
  readonly is_complete: boolean;
  readonly today: Period;
  readonly month: Period;
  /** What the month will have cost, if it goes on as the last seven days did; null until there was use for a day. */
  readonly month_expected_nanodollars: number | null;
  /** The last 48, without those in which nothing was. */
  readonly hours: readonly (Point)[];
  /** The last 90, without those in which nothing was. */
  readonly days: readonly (Point)[];
  readonly top: readonly (Top)[];
};

export type Amounts = {
  readonly calls: number;
  readonly refusals: number;
  readonly input_tokens: number;
  readonly output_tokens: number;
  readonly cost_nanodollars: number;
};

export type Period = {
  readonly from: string;
  readonly to: string;
  readonly calls: number;
  readonly refusals: number;
  readonly input_tokens: number;
  readonly output_tokens: number;
  readonly cost_nanodollars: number;
  /** The period before, up to the same hour. */
  readonly before: Amounts;
  readonly before_whole: Amounts;
};

export type Point = {
  readonly from: string;
  readonly calls: number;
  readonly refusals: number;
  readonly input_tokens: number;
  readonly output_tokens: number;
  readonly cost_nanodollars: number;
};

export type Top = {
  readonly by: string;
  readonly rows: readonly ({
    readonly value: string | null;
    readonly share: number;
    readonly calls: number;
    readonly refusals: number;
    readonly input_tokens: number;
    readonly output_tokens: number;
    readonly cost_nanodollars: number;
  })[];
  /** How many values there are. */
  readonly values: number;
  /** How many of them, the dearest first, make half of the cost. */
  readonly half: number;
};

export type Minutes = {
  readonly at: string;
  /** Where the first of the 60 minutes begins. */
  readonly since: string;
  readonly by: "team" | "user" | "feature" | "model" | "endpoint" | "key";
  /** Whether all of the hour is in it: after a start it is read back when somebody looks. */
  readonly is_complete: boolean;
  /** The values of which most was used, the dearest first. */
  readonly data: readonly ({
    readonly value: string | null;
    readonly calls: number;
    readonly refusals: number;
    readonly input_tokens: number;
    readonly output_tokens: number;
    readonly cost_nanodollars: number;
    /** Those in which something was. */
    readonly minutes: readonly (Point)[];
  })[];
  /** What all other values used together; null where there are none. */
  readonly others: {
    readonly calls: number;
    readonly refusals: number;
    readonly input_tokens: number;
    readonly output_tokens: number;
    readonly cost_nanodollars: number;
    /** Those in which something was. */
    readonly minutes: readonly (Point)[];
  } | null;
};

export type Person = {
  readonly name: string;
  /** As a key of that role, but for calls, which need a key. */
  readonly role: "member" | "viewer" | "admin";
  /** Whose calls a member sees, and whose budgets besides. */
  readonly attributes: {
    readonly org?: string;
    readonly team?: string;
    readonly product?: string;
    readonly feature?: string;
    readonly user?: string;
    readonly tier?: string;
  };
  /** Whether they stand in purser.yaml, where they are changed. */
  readonly configured: boolean;
};

export type Budget = {
  readonly name: string;
  /** The narrowest budget that all its calls are charged to as well. */
  readonly parent: string | null;
  /** The whole budget in words. */
  readonly sentence: string;
  /** Attribute and values, as the configuration has them. */
  readonly for: Readonly<Record<string, unknown>>;
  readonly per: readonly (string)[];
  /** Its own, or that of the budget that it is a part of. */
  readonly owner: string | null;
  /** The budget whose owner it is, where this one says none. */
  readonly owner_from: string | null;
  /** Where its calls are booked. */
  readonly cost_center: string | null;
  /** What it does now with calls that do not fit. */
  readonly mode: "enforce" | "observe";
  /** When its trial ends; null where it has no end, or is over. */
  readonly observes_until: string | null;
  readonly time_zone: string;
  readonly limits: readonly ({
    readonly text: string;
    readonly unit: string;
    /** How much a token of each kind counts; left out where every token is one. */
    readonly weights?: Readonly<Record<string, number>>;
    readonly window: string;
    readonly amount: number;
  })[];
  readonly ladder: readonly ({
    /** As it is written: `85% of $ / month`, `$20 left`. */
    readonly text: string;
    /** The share from which on it holds, from 0 to 1, of the limit as the budget has it. */
    readonly at: number;
    /** The amount that is spent or held from which on it holds, where it says that and no share. */
    readonly spent: number | null;
    /** The amount that is left when it begins to hold, where it says that and no share. */
    readonly left: number | null;
    /** What it is a share of, where its step says that: `$ / month`. */
    readonly of: string | null;
    /** The limits of which the fullest counts. */
    readonly measures: readonly ({
      readonly unit: string;
      readonly window: string;
    })[];
    readonly rungs: readonly (string)[];
  })[];
  /** Those of which most is used. */
  readonly balances: readonly (Outlook)[];
  readonly balances_total: number;
};

/** A balance, and where it leads. */
export type Outlook = {
  readonly budget: string;
  readonly subject: string;
  readonly unit: string;
  /** How much a token of each kind counts; left out where every token is one. */
  readonly weights?: Readonly<Record<string, number>>;
  readonly window: string;
  readonly limit: number;
  readonly spent: number;
  readonly held: number;
  readonly left: number;
  readonly resets_at: string | null;
  /** Only of a budget that observes. */
  readonly observes_until?: string | null;
  readonly starts_at: string | null;
  /** What will be spent when it resets; null where it never does, or is too early to say. */
  readonly expected: number | null;
  /** When nothing is left, if that is before it resets; null where less than 1 % is left, or it is too early to say. */
  readonly gone_at: string | null;
};

export type BudgetHistory = {
  readonly unit: string;
  readonly window: string;
  readonly hours: readonly ({
    readonly from: string;
    readonly spent: number;
  })[];
};

export type WhatIf = {
  readonly budget: string;
  readonly limit: string;
  readonly since: string;
  readonly until: string;
  readonly calls: number;
  /** In the unit of the limit. */
  readonly used: number;
  readonly refused_calls: number;
  readonly refused: number;
  readonly first_refused_at: string | null;
  /** How many balances there were. */
  readonly subjects: number;
  readonly subjects_refused: number;
};

export type PriceList = {
  readonly data: readonly ({
    readonly provider: string;
    readonly model: string;
    readonly source: string;
    readonly prices: readonly ({
      readonly what: string;
      readonly price: string;
      readonly aboveInputTokens?: number;
    })[];
  })[];
  readonly used: readonly ({
    readonly model: string;
    readonly calls: number;
    readonly unpriced_calls: number;
    readonly cost_nanodollars: number;
  })[];
};

export type Settings = {
  /** The configuration file; null where everything is a default. */
  readonly file: string | null;
  readonly data_dir: string;
  readonly node: string;
  readonly started_at: string;
  readonly time_zone: string;
  readonly server: {
    readonly host: string;
    readonly port: number;
    readonly public_url: string | null;
    readonly max_body_bytes: number;
    readonly drain_ms: number;
  };
  readonly store: {
    readonly balances: "data folder" | "redis";
    /** Whose balances these are, where several gateways share them. */
    readonly namespace: string | null;
    /** Whether it decides from allotments. */
    readonly leases: boolean;
    /** Where the ledger is kept for good. */
    readonly ledger: "data folder" | "redis" | "postgres";
  };
  readonly providers: readonly ({
    readonly name: string;
    readonly urls: readonly (string)[];
    readonly formats: readonly (string)[];
    readonly has_key: boolean;
    /** What is missing for calls to reach it. */
    readonly problem: string | null;
    readonly timeout_ms: number;
  })[];
  /** Before the providers' own patterns; of several providers the first choice first. */
  readonly routes: readonly ({
    readonly pattern: string;
    readonly providers: readonly (string)[];
    readonly attempts: number;
  })[];
  readonly calls: {
    readonly default_max_output: number;
    /** null: what the model can read. */
    readonly unseen_input: number | null;
    readonly on_disconnect: "abort" | "drain";
    readonly shows_cost: boolean;
    readonly shows_left: boolean;
    readonly shows_owner: boolean;
  };
};

export type Alert = {
  readonly id: string;
  readonly kind: "budget.threshold" | "budget.forecast" | "budget.anomaly" | "budget.hourly" | "budget.trial" | "provider.failing" | "bill.differs" | "commitment.unused" | "allowance.used" | "agreement.ending" | "guard.tripped";
  readonly severity: "info" | "warning" | "error" | "critical";
  readonly title: string;
  readonly text: string;
  readonly owner: string | null;
  readonly at: string;
  /** Where it was told. */
  readonly channels: readonly (string)[];
  /** over: its window has ended. */
  readonly state: "open" | "acknowledged" | "snoozed" | "over";
  /** Who acknowledged it, or put it off; null: nobody did. */
  readonly by: string | null;
  readonly answered_at: string | null;
  readonly snoozed_until: string | null;
};

export type Trial = {
  readonly budget: string;
  readonly owner: string | null;
  /** What it does now with calls that do not fit. */
  readonly mode: "enforce" | "observe";
  /** When its trial ends; null where it has no end, or is over. */
  readonly observes_until: string | null;
  /** When a trial with an end has ended; null before, and where it has none. */
  readonly ended_at: string | null;
  /** The first day on which calls were made that it would have refused, of the last 90. */
  readonly first_at: string | null;
  readonly last_at: string | null;
  readonly would_refuse_calls: number;
  /** What those calls were charged. */
  readonly would_refuse_nanodollars: number;
  /** Of whom most would have been refused first, a hundred at most. */
  readonly whose: readonly ({
    /** A balance, or who called: `user=ann`; empty where nobody said. */
    readonly whose: string;
    readonly calls: number;
    readonly cost_nanodollars: number;
  })[];
  readonly whose_total: number;
  /** What limits by the day or longer need, of budgets with one balance, as `purser recommend` reckons it. */
  readonly needs: readonly ({
    readonly limit: string;
    readonly unit: string;
    /** Null where it was not seen for long enough. */
    readonly amount: number | null;
    readonly rests_on: string;
  })[];
};

export type Adjustment = {
  readonly budget: string;
  readonly unit: string;
  readonly window: string;
  readonly mode: "apply" | "propose";
  /** It is looked at as each of these ends. */
  readonly every: string;
  /** What the configuration says, in the unit of the limit. */
  readonly configured: number;
  /** What holds, grants of people aside. */
  readonly amount: number;
  readonly least: number;
  readonly most: number;
  /** What was decided for the period that runs; null where nothing was. */
  readonly decided: {
    /** The id of the grant that makes the difference: revoking it ends the decision. */
    readonly grant: string;
    readonly before: number;
    readonly amount: number;
    readonly why: string;
    readonly from: string;
    readonly until: string;
  } | null;
  /** When it is looked at next. */
  readonly next_at: string;
  /** What it would be then, with what is known now; null where what was used is not added up yet. */
  readonly next: {
    readonly amount: number;
    readonly why: string;
  } | null;
};

export type CallAdjustment = {
  readonly budget: string;
  readonly unit: string;
  readonly window: string;
  /** What the configuration says, in the unit of the limit. */
  readonly configured: number;
  /** The id of the grant that makes the difference: revoking it ends the decision. */
  readonly grant: string;
  readonly before: number;
  readonly amount: number;
  readonly why: string;
  readonly from: string;
  readonly until: string;
};

export type LimitChange = {
  readonly budget: string;
  readonly limit: string;
  readonly to: string;
};

/** A budget as purser.yaml has it. */
export type BudgetItem = {
  /** Names the budget in answers, reports and headers. */
  readonly name: string;
  /** Which calls it is for: attribute and value, or several values. All calls where it is left out. */
  readonly for?: {
    readonly org?: string | readonly (string)[];
    readonly team?: string | readonly (string)[];
    readonly product?: string | readonly (string)[];
    readonly feature?: string | readonly (string)[];
    readonly user?: string | readonly (string)[];
    readonly tier?: string | readonly (string)[];
    readonly session?: string | readonly (string)[];
    readonly task?: string | readonly (string)[];
    readonly key?: string | readonly (string)[];
    readonly provider?: string | readonly (string)[];
    readonly model?: string | readonly (string)[];
    readonly endpoint?: string | readonly (string)[];
  } & Readonly<Record<string, string | readonly (string)[]>>;
  /** One balance for each value of an attribute, or of several. */
  readonly per?: string | readonly (string)[];
  /** What may be used: `amount [unit] [/ window]`. A limit without a window is for the whole life. */
  readonly limits?: string | number | readonly (string | number)[];
  /** How much a token of each kind counts on the limits in tokens. A kind that is left out counts as what it is part of; input and output count 1. */
  readonly weights?: {
    /** Input, where nothing else is said of it. */
    readonly input?: number;
    /** Input read from the provider's cache. */
    readonly cache_read?: number;
    /** Input written to the provider's cache. */
    readonly cache_write?: number;
    /** Input written to it for an hour. What cache_write says, where it is left out. */
    readonly cache_write_1h?: number;
    /** Audio input. */
    readonly audio_input?: number;
    /** Image input. */
    readonly image_input?: number;
    /** Output, where nothing else is said of it. */
    readonly output?: number;
    /** Output that was spent on reasoning. */
    readonly reasoning?: number;
    /** Audio output. */
    readonly audio_output?: number;
    /** Image output. */
    readonly image_output?: number;
  };
  /** Other amounts for some. The first that is for a call counts. */
  readonly exceptions?: readonly ({
    /** Whom it is for: a value, or several, of what per names. */
    readonly for: {
      readonly org?: string | readonly (string)[];
      readonly team?: string | readonly (string)[];
      readonly product?: string | readonly (string)[];
      readonly feature?: string | readonly (string)[];
      readonly user?: string | readonly (string)[];
      readonly tier?: string | readonly (string)[];
      readonly session?: string | readonly (string)[];
      readonly task?: string | readonly (string)[];
      readonly key?: string | readonly (string)[];
      readonly provider?: string | readonly (string)[];
      readonly model?: string | readonly (string)[];
      readonly endpoint?: string | readonly (string)[];
    } & Readonly<Record<string, string | readonly (string)[]>>;
    /** What they may use instead. Each stands in the place of the budget's limit with the same unit and window. */
    readonly limits: string | number | readonly (string | number)[];
    /** The last day on which it holds, in the budget's time zone. */
    readonly until?: string;
  })[];
  /** When windows start, where that is not the calendar's own: a day of the week, a day of the month, a month, or the date of an anniversary. */
  readonly starts?: string | number | readonly (string | number)[];
  /** What any one call may be. */
  readonly request?: {
    /** The most input tokens of a call. */
    readonly max_input?: number | string;
    /** The most output tokens of a call. Its own cap is lowered to this. */
    readonly max_output?: number | string;
    /** The most tokens of a call, input and output. */
    readonly max_total?: number | string;
    /** The models that calls may use; * stands for anything. */
    readonly models?: string | readonly (string)[];
  };
  /** What happens to calls as the budget fills, by the share of its fullest limit that is spent or held, or of the limit that a step names: `85% of $`; or by an amount of a limit that is spent or held, `$400`, or left, `$20 left`. A later rung of a kind takes the place of an earlier one. */
  readonly ladder?: Readonly<Record<string, string | readonly (string)[]>>;
  /** Moves what some budgets, or balances of this one, leave unused to others that need more, until their window ends. */
  readonly share?: {
    /** The budgets that share; the balances of this one where it is left out. */
    readonly among?: readonly (string)[];
    /** Amounts are moved at most once in each. */
    readonly every: "minute" | "hour" | "day" | "week" | "month" | "quarter" | "year";
    /** The share of its limit from which on somebody needs more. */
    readonly from?: string;
    /** Nobody is left with less than this share of its own limit. */
    readonly keep?: string;
    /** Nobody gets more than this share of its own limit on top of it. */
    readonly most?: string;
  };
  /** Lets the amount of a limit follow what is used of it, within bounds. */
  readonly adjust?: {
    /** The least and the most that it may be. The window stands behind them where several limits have the unit: `$30 - $80 / day`. */
    readonly within: string;
    /** It changes as each of these ends; where its window does, if it is left out. */
    readonly every?: "day" | "week" | "month" | "quarter";
    /** What it follows: a percentile of days, of a limit by the day; or what days come to on average, of a longer one. p95 of 28 days, or average of 28 days, where it is left out. */
    readonly follow?: string;
    /** What is added to that. */
    readonly margin?: string;
    /** It changes by no more at a time. */
    readonly step?: string;
    /** propose changes nothing, and tells what would be. */
    readonly mode?: "apply" | "propose";
  };
  /** Watches over the calls of each subject for loops, and stands against them until they stop. */
  readonly guard?: {
    /** The same call so often within ten minutes. */
    readonly repeats?: number | string;
    /** A tool called so often in a row with the same arguments and the same result, by what a conversation shows; or a few such calls that come round so often; or the same error so often. */
    readonly same_tool?: number | string;
    /** So many calls in a row that each carry more than the one before, and twice as much in the end as in the beginning. */
    readonly growth?: number | string;
    /** A minute that costs so many times what the dearest minute lately did. */
    readonly surge?: number | string;
    /** What happens then: block, slow, shorten and tell, as in a ladder. */
    readonly do?: string | readonly (string)[];
    /** How long it lasts. */
    readonly lasts?: string;
  };
  /** What else is told, and to whom, each once: forecast, when it will be gone before it resets; anomaly 3x, when an hour or a day takes so many times what the dearest lately did; anomaly each 10x, when a day of one balance does; hourly AMOUNT, when more is spent in an hour; reset, when it is open again after it was used up; adjusted, when its rule changes its amount or proposes to; trial, before it begins to refuse calls, and when it does. */
  readonly alerts?: Readonly<Record<string, string | readonly (string)[]>>;
  /** The IANA time zone whose calendar the windows follow. */
  readonly timezone?: string;
  /** Who answers for the budget: an address or a name. Where it is left out, the owner of the budget that this one is a part of. */
  readonly owner?: string;
  /** Where the calls of the budget are booked. Of several budgets of a call, that of the one whose `for` names the most attributes counts. */
  readonly cost_center?: string;
  /** observe records what would have been refused, and refuses nothing; observe until 2026-12-15 refuses from the day after on, by the budget's time zone. That of the file where it is left out. */
  readonly mode?: string;
  /** The output cap of a call is lowered to what fits, but not below this. Of the budgets of a call that say it, the largest counts. */
  readonly min_output?: number | string;
  /** open lets calls pass uncounted while the store is down. */
  readonly on_store_failure?: "open" | "closed";
};

export type WrittenBudget = {
  readonly name: string;
  readonly budget: BudgetItem;
  /** As `GET` said it: who changes what somebody else has changed meanwhile is told. */
  readonly version: string;
};

export type BudgetChange = {
  readonly name: string;
  readonly budget: BudgetItem;
  /** As `GET` said it: who changes what somebody else has changed meanwhile is told. */
  readonly version: string;
  /** The whole budget in words. */
  readonly sentence: string;
  readonly warnings: readonly (FieldProblem)[];
};

export type BudgetTrial = {
  readonly name: string;
  /** The budget in words, as it would be, or the one that would go; null where something is wrong with it. */
  readonly sentence: string | null;
  readonly problems: readonly (FieldProblem)[];
  readonly warnings: readonly (FieldProblem)[];
};

export type FieldProblem = {
  /** `limits[1]`; empty where it is about all of the budget. */
  readonly field: string;
  readonly message: string;
};

export type Ask = {
  readonly id: string;
  readonly budget: string;
  readonly subject: string;
  readonly more: string;
  readonly until: string;
  readonly expires_at: string;
};

export type Handover = {
  readonly id: string;
  readonly status: "waiting" | "taken" | "returned";
  readonly budget: string;
  /** Whose conversation it is. */
  readonly subject: Readonly<Record<string, unknown>>;
  /** The id of the key that its calls come with, or of what was handed on of it; null for the owner's own. */
  readonly key: string | null;
  readonly rung: string;
  /** What the budget said. */
  readonly why: string;
  readonly opened_at: string;
  /** When a call of it came, or somebody did something, for the last time. */
  readonly changed_at: string;
  /** Since when nobody has answered its last call. */
  readonly waiting_since: string | null;
  readonly taken_by: string | null;
  readonly taken_at: string | null;
  readonly returned_by: string | null;
  readonly returned_at: string | null;
  /** Its calls so far. */
  readonly calls: number;
  /** How many answers its next call gets. */
  readonly waiting_answers: number;
  /** When what was said is deleted; null where nothing is kept. */
  readonly kept_until: string | null;
};

export type OneHandover = Handover & {
  /** Whether its next call would be handed over anew, were it with nobody: its budget stands where the ladder says so. */
  readonly hands_over_again: boolean;
};

export type WholeHandover = OneHandover & {
  /** Null where it is not kept. */
  readonly conversation: readonly ({
    readonly by: "user" | "assistant";
    readonly text: string;
  })[] | null;
  readonly answers: readonly ({
    readonly by: string;
    readonly answered_at: string;
    /** When the conversation got it. */
    readonly given_at: string | null;
    /** Null where it is not kept any more. */
    readonly text: string | null;
  })[];
};

export type Balance = {
  readonly budget: string;
  /** `user=ann`; empty for a budget with a single balance. */
  readonly subject: string;
  readonly unit: "nanodollars" | "tokens" | "input_tokens" | "output_tokens" | "requests" | "concurrent";
  readonly window: string;
  /** How much a token of each kind counts; left out where every token is one. */
  readonly weights?: Readonly<Record<string, number>>;
  /** The amount in force, with what is granted and carried over; of a bucket, what it takes at once. */
  readonly limit: number;
  readonly spent: number;
  /** Held by calls in flight. */
  readonly held: number;
  /** What is left for new calls; never below 0. */
  readonly left: number;
  /** null: it never resets. Of a window that moves: when all that is used has come back, if nothing else is used. */
  readonly resets_at: string | null;
  /** Only of a budget that observes: until when it refuses nothing; null where that has no end. */
  readonly observes_until?: string | null;
  /** Who answers for the budget, where owners are asked for. */
  readonly owner?: string | null;
  /** Where its calls are booked, where owners are asked for. */
  readonly cost_center?: string | null;
};

export type Allowance = {
  /** Its name. */
  readonly allowance: string;
  /** The same. */
  readonly name: string;
  /** The providers whose calls use it up together, with `*` for anything. */
  readonly providers: readonly (string)[];
  /** The models that it is for, likewise. */
  readonly models: readonly (string)[];
  readonly unit: "nanodollars" | "tokens" | "input_tokens" | "output_tokens" | "requests" | "concurrent";
  readonly window: string;
  /** The amount in force, with what is granted and carried over; of a bucket, what it takes at once. */
  readonly limit: number;
  readonly spent: number;
  /** Held by calls in flight. */
  readonly held: number;
  /** What is left for new calls; never below 0. */
  readonly left: number;
  /** null: it never resets. Of a window that moves: when all that is used has come back, if nothing else is used. */
  readonly resets_at: string | null;
  /** What is spent and held. */
  readonly used: number;
  /** When it ends; nothing is left from then on. */
  readonly until: string | null;
};

export type Commitment = {
  readonly name: string;
  /** Names, in which `*` stands for anything. */
  readonly providers: readonly (string)[];
  /** The models that count, likewise. */
  readonly models: readonly (string)[];
  readonly unit: "nanodollars" | "tokens" | "input_tokens" | "output_tokens" | "requests";
  /** By how much kinds of tokens count. */
  readonly weights?: Readonly<Record<string, number>>;
  /** How much is bought in each period. */
  readonly amount: number;
  readonly period: "minute" | "hour" | "day" | "month" | "quarter" | "year";
  /** What is taken off the prices of the ledger, as a part of 1. */
  readonly discount: number;
  /** What capacity costs, used or not; null for money, which is its own price. */
  readonly price: {
    readonly nanodollars: number;
    readonly period: string;
  } | null;
  readonly from: string | null;
  /** When it ends. */
  readonly until: string | null;
  readonly state: "not begun" | "running" | "over";
  /** The window that runs; or the first, or the last one. */
  readonly window: {
    readonly from: string;
    readonly to: string;
  };
  /** How much is bought in the whole window, in `unit`: `used`, `unused` and `left` together. */
  readonly committed: number;
  /** What of it is used, by prices less the discount. */
  readonly used: number;
  /** What was not used in time. */
  readonly unused: number;
  /** What can still be used. */
  readonly left: number;
  /** What was used beyond it. */
  readonly over: number;
  /** What the calls that count cost by the ledger. */
  readonly ledger_nanodollars: number;
  /** The part of that which the commitment pays for. */
  readonly covered_nanodollars: number;
  /** What the commitment costs in the window, used or not. */
  readonly cost_nanodollars: number;
  /** The part of that which was paid for `unused`. */
  readonly unused_nanodollars: number;
  /** Where the window leads at this pace; null while it is too early to say, and where none runs. */
  readonly expected: {
    readonly used: number;
    readonly unused: number;
    readonly unused_nanodollars: number;
  } | null;
};

export type CommittedBill = {
  readonly name: string;
  readonly kind: "money" | "capacity";
  /** Names, in which `*` stands for anything. */
  readonly providers: readonly (string)[];
  /** By how much less is billed for the calls of a model than the ledger has. */
  readonly less: readonly ({
    readonly from: string;
    readonly to: string;
    readonly provider: string;
    readonly model: string;
    readonly nanodollars: number;
  })[];
  /** What is billed beside calls: capacity as it is bought, or money that was promised and not used, on the day on which it lapsed. */
  readonly charges: readonly ({
    readonly from: string;
    readonly to: string;
    readonly nanodollars: number;
  })[];
};

export type CommitmentAdvice = {
  readonly since: string;
  readonly until: string;
  readonly data: readonly ({
    readonly provider: string;
    /** The first call that was looked at. */
    readonly from: string;
    readonly to: string;
    /** What calls cost by the ledger. */
    readonly ledger_nanodollars: number;
    /** The same for a month. */
    readonly monthly_nanodollars: number;
    /** null where less than two whole days are known. */
    readonly steady: {
      readonly of: "weeks" | "days";
      /** How many of them were looked at. */
      readonly count: number;
      /** What nine of ten of them came to at least, for a month. */
      readonly monthly_nanodollars: number;
      /** The least discount at which a commitment to it would have paid off. A part of 1; null where none would. */
      readonly pays_from_discount: number | null;
    } | null;
    /** null where no discount was asked about. */
    readonly discount: {
      readonly discount: number;
      /** What it would have saved, where nothing is paid for nothing. */
      readonly saved_nanodollars: number;
      /** The most that would have been used up in each month. */
      readonly used_up_monthly_nanodollars: number;
      /** More than this would have cost more than it saved. */
      readonly pays_up_to_monthly_nanodollars: number;
    } | null;
    readonly models: readonly ({
      readonly model: string;
      /** Used on average in nine of ten hours at least. */
      readonly steady_tokens_per_minute: number;
      /** What so many cost in an hour by the ledger. */
      readonly hourly_nanodollars: number;
    })[];
    readonly offers: readonly ({
      readonly offer: string;
      /** What the calls cost by the ledger. */
      readonly ledger_nanodollars: number;
      /** What would have been billed instead. */
      readonly billed_nanodollars: number;
      /** The difference; below 0 where it would have cost more. */
      readonly saved_nanodollars: number;
      /** How much would have been bought. */
      readonly committed: number;
      /** How much of that would not have been used. */
      readonly unused: number;
      /** Of money: the least discount at which it would have paid off. A part of 1; null where none would. */
      readonly pays_from_discount: number | null;
      /** Of capacity: the most for an hour at which it would have paid off. */
      readonly pays_up_to_hourly_nanodollars: number | null;
    })[];
  })[];
};

export type Grant = {
  readonly id: string;
  readonly budget: string;
  /** `user=ann`; empty for a budget with a single balance. */
  readonly subject: string;
  readonly unit: "nanodollars" | "tokens" | "input_tokens" | "output_tokens" | "requests" | "concurrent";
  readonly window: string;
  /** Added to the limit in each of its windows; below 0 where it is taken away. */
  readonly amount: number;
  readonly from: string;
  /** From then on it does not hold any more. */
  readonly until: string;
  readonly giver: string;
  readonly why: string;
};

export type NewGrant = {
  readonly budget: string;
  /** Written like a limit. The window may be left out where the unit has one limit only. */
  readonly amount: string;
  /** A value for each of the budget's per. */
  readonly for?: Readonly<Record<string, unknown>>;
  /** A time, or a duration from now; now where it is left out. */
  readonly from?: string;
  /** A day, which it includes, in the budget's time zone; a time; or a duration from its beginning. */
  readonly until: string;
  /** Who does it; known by the key where it is left out. */
  readonly giver?: string;
  /** Kept in the ledger. */
  readonly why: string;
};

export type Reset = {
  /** Whose balance: a value for each of the budget's per. */
  readonly for?: Readonly<Record<string, unknown>>;
  /** Which limit; all of the budget where it is left out. */
  readonly limit?: string;
  /** Who does it; known by the key where it is left out. */
  readonly giver?: string;
  /** Kept in the ledger. */
  readonly why: string;
};

export type CallBalance = {
  readonly budget: string;
  /** `user=ann`; empty for a budget with a single balance. */
  readonly subject: string;
  readonly unit: "nanodollars" | "tokens" | "input_tokens" | "output_tokens" | "requests" | "concurrent";
  readonly window: string;
  /** How much a token of each kind counts; left out where every token is one. */
  readonly weights?: Readonly<Record<string, number>>;
  /** Held when the call was admitted. */
  readonly held: number;
  /** Charged in the end. */
  readonly spent: number;
};

export type CallSummary = {
  readonly id: string;
  readonly at: string;
  readonly outcome: "in flight" | "settled" | "released" | "expired" | "denied" | "ready text" | "known answer";
  readonly provider: string | null;
  readonly model: string | null;
  readonly subject: Readonly<Record<string, unknown>>;
  /** Tokens by kind. A kind that is not known is left out. */
  readonly usage: Readonly<Record<string, unknown>> | null;
  readonly cost_nanodollars: number | null;
  readonly certainty: "confirmed" | "estimated" | "unconfirmed" | null;
  /** The error code of a denial, also where the caller got a ready text in its place. */
  readonly reason: string | null;
  readonly message: string | null;
};

export type CallReport = {
  readonly id?: string;
  readonly at?: string;
  readonly outcome?: "in flight" | "settled" | "released" | "expired" | "denied" | "ready text" | "known answer";
  readonly provider?: string | null;
  readonly model?: string | null;
  readonly subject?: Readonly<Record<string, unknown>>;
  /** Tokens by kind. A kind that is not known is left out. */
  readonly usage?: Readonly<Record<string, unknown>> | null;
  readonly cost_nanodollars?: number | null;
  readonly certainty?: "confirmed" | "estimated" | "unconfirmed" | null;
  /** The error code of a denial, also where the caller got a ready text in its place. */
  readonly reason?: string | null;
  readonly message?: string | null;
  /** The most the call could use. */
  readonly estimate?: {
    readonly input_tokens?: number;
    readonly output_tokens?: number;
    readonly cost_nanodollars?: number | null;
    /** false: the input is a bound by its size. */
    readonly counted?: boolean;
  };
  /** Where the price comes from. */
  readonly price?: string | null;
  /** The terms of the cost. */
  readonly arithmetic?: readonly ({
    readonly kind?: string;
    readonly tokens?: number;
    readonly picodollars_per_token?: number;
  })[] | null;
  readonly balances?: readonly (CallBalance)[];
  /** Budgets in observe mode that would have refused it. */
  readonly would_refuse?: readonly (string)[];
  /** What the ladders of its budgets did to it. */
  readonly rungs?: readonly (string)[];
  /** The model that was asked for, where a ladder chose another. */
  readonly instead_of?: {
    readonly provider?: string;
    readonly model?: string;
  } | null;
  /** What ladders saved of it, less what they spent for that, as far as it is known: the sum of `savings`. */
  readonly saved_nanodollars?: number | null;
  /** The same rung by rung. */
  readonly savings?: readonly ({
    readonly budget: string;
    /** As it is written in the ladder: `use gpt-4o-mini`. */
    readonly rung: string;
    /** Tokens of input that it left out, as counted here. */
    readonly left_out_tokens: number;
    /** Below 0 where the call became dearer, or is one that the rung made itself; null where nobody can know. */
    readonly saved_nanodollars: number | null;
  })[];
  /** Where its answer is from, where that was known and no provider was asked. */
  readonly known_answer?: {
    readonly rung: string;
    /** The call that a provider answered so. */
    readonly from: string | null;
    /** Where it stands in the configuration. */
    readonly entry: string | null;
    /** The handover of its conversation, where a person goes on with that. */
    readonly handover: string | null;
    /** How near the question is to the one that was answered, from 0 to 1; null where it is the same. */
    readonly nearness: number | null;
    /** How many calls that were answered so within a second its entry stands for. */
    readonly times: number;
  } | null;
  /** Limits that had another amount then than the configuration says, because they follow what is used of them. */
  readonly adjusted?: readonly (CallAdjustment)[];
  /** The free allowance that paid for it. */
  readonly allowance?: string | null;
  /** Why it was not made at providers that come before its own in their route. */
  readonly tried?: readonly (string)[];
  /** All attempts of its request, where there were several: each is held and charged by itself, under an id of its own. */
  readonly attempts?: readonly ({
    readonly id: string;
    readonly at: string;
    readonly outcome: "in flight" | "settled" | "released" | "expired" | "denied" | "ready text" | "known answer";
    readonly provider: string | null;
    readonly model: string | null;
    readonly cost_nanodollars: number | null;
    readonly certainty: string | null;
    /** How it ended. */
    readonly end: string | null;
    /** What was held for it. */
    readonly held_nanodollars: number | null;
  })[];
  /** Where its cost is booked, as its budgets said when it was made. */
  readonly cost_center?: string | null;
  /** Who answers for it, as its budgets said when it was made. */
  readonly owner?: string | null;
  /** The request that made the batch which the call is part of. */
  readonly batch?: string | null;
  readonly entries?: readonly ({
    readonly seq: number;
    readonly at: string;
    readonly kind: "reserved" | "extended" | "raised" | "settled" | "overrun" | "expired" | "corrected" | "released" | "denied" | "answered" | "adjusted";
    readonly postings: readonly (CallBalance)[];
    readonly why?: string;
    readonly expires_at?: string;
  })[];
};

export type Key = {
  readonly id: string;
  readonly name: string;
  /** What every call with the key is charged to. */
  readonly attributes: Readonly<Record<string, unknown>>;
  /** What the holder may add by headers. */
  readonly may_set: readonly (string)[];
  /** member: sees its own on /api; viewer: sees all there, and makes no calls. */
  readonly role: "caller" | "member" | "viewer" | "admin";
  readonly created_at: string;
  readonly expires_at: string | null;
};

export type NewKey = {
  readonly name: string;
  /** What every call with the key is charged to. */
  readonly attributes?: Readonly<Record<string, unknown>>;
  /** What the holder may add by headers. */
  readonly may_set?: readonly (string)[];
  /** member: sees its own on /api; viewer: sees all there, and makes no calls. */
  readonly role?: "caller" | "member" | "viewer" | "admin";
  readonly expires_at?: string | null;
};

export type Channel = {
  readonly name: string;
  readonly kind: "webhook" | "slack" | "teams" | "pagerduty" | "email";
  /** Notices that are still to be delivered. */
  readonly waiting: number;
  readonly last: Delivery | null;
};

export type Delivery = {
  /** The same for every try. */
  readonly notice: string;
  readonly channel: string;
  readonly title: string;
  readonly at: string;
  readonly attempt: number;
  /** null: it was delivered. */
  readonly error: string | null;
  readonly is_last: boolean;
};

export type Switch = {
  readonly id: string;
  /** Which calls it stops, in the words of a budget's `for:`. An empty one stops all. */
  readonly for: Readonly<Record<string, unknown>>;
  /** Whoever is refused reads it. */
  readonly why: string;
  /** Who does it. The key that was used is added. */
  readonly by: string;
  readonly in_force: boolean;
  readonly at: string;
  /** null: until somebody switches it on. */
  readonly until: string | null;
  /** Who switched it on again. */
  readonly ended: {
    readonly at?: string;
    readonly by?: string;
    readonly why?: string;
  } | null;
};

export type Guard = {
  readonly id: string;
  readonly budget: string;
  /** Whose calls; empty where the budget has one balance for all. */
  readonly subject: string;
  readonly guard: "repeats" | "same_tool" | "growth" | "surge";
  /** How often, how many calls in a row, or how many times as much. */
  readonly measured: number;
  readonly at: string;
  /** Then it lets go by itself. */
  readonly until: string;
  /** What happens to calls. */
  readonly does: readonly (string)[];
  /** What callers are told. */
  readonly message: string;
};

export type WaitingCall = {
  readonly id: string;
  readonly status: "queued" | "running" | "done" | "failed" | "deleted";
  /** What let it wait. */
  readonly rung: string;
  /** Whose call it is. */
  readonly subject: Readonly<Record<string, unknown>>;
  /** The id of the key that made it; null for the owner's own. */
  readonly key: string | null;
  readonly path: string;
  readonly queued_at: string;
  /** When it asks its budget. */
  readonly runs_at: string;
  /** When it fails, if it finds no room until then. */
  readonly gives_up_at: string;
  /** When it is deleted, if nobody fetches it. */
  readonly kept_until: string;
  /** The status of its answer. */
  readonly answered: number | null;
  /** Why it failed. */
  readonly failure: string | null;
};

export type NewSwitch = {
  /** Which calls it stops, in the words of a budget's `for:`. An empty one stops all. */
  readonly for: Readonly<Record<string, unknown>>;
  /** Whoever is refused reads it. */
  readonly why: string;
  /** Who does it. The key that was used is added. */
  readonly by?: string;
  /** Never ends by itself where it is left out. */
  readonly until?: string | null;
};

export type ReportRow = ReportAmounts & {
  readonly from: string;
  /** Not included. */
  readonly to: string;
  /** By attribute; null where calls have none. */
  readonly values: Readonly<Record<string, unknown>>;
  readonly before?: ReportAmounts;
};

export type Deed = {
  /** From 1, without gaps. */
  readonly n: number;
  readonly at: string;
  readonly by: string;
  readonly what: string;
  /** The address that it came from. */
  readonly from?: string;
  readonly details?: Readonly<Record<string, unknown>>;
  /** The line of which this one says the outcome. */
  readonly of?: number;
  /** The hash of the line before. */
  readonly previous: string;
  readonly hash: string;
};

export type Statement = {
  /** Null for calls that have none. */
  readonly value: string | null;
  /** The owner of the budget for this value, else of one for all; of a cost centre, of the widest budget with it; by owner, the value. */
  readonly owner: string | null;
  readonly total: ReportAmounts;
  readonly before: ReportAmounts;
  /** The part of the whole cost, from 0 to 1. */
  readonly share: number;
  readonly lines: readonly (ReportAmounts & {
    readonly provider?: string | null;
    readonly model?: string | null;
  })[];
};

export type EconomicsQuestion = {
  readonly since?: string;
  readonly until?: string;
  readonly time_zone?: string;
  readonly filter?: readonly (string)[];
  /** An amount in dollars: how many calls does it pay for? */
  readonly afford?: string;
  /** The attribute whose values `revenue` names. */
  readonly by?: string;
  /** Dollars by value. */
  readonly revenue?: Readonly<Record<string, unknown>>;
};

export type Economics = {
  readonly since: string;
  readonly until: string;
  readonly time_zone: string;
  readonly calls: number;
  readonly tokens: number;
  readonly cost_nanodollars: number;
  /** Those who are named in calls. */
  readonly users: number;
  readonly sessions: number;
  /** On how many days each user was there, added up. */
  readonly user_days: number;
  /** What one of each costs, in nano-dollars; null where there is none. */
  readonly per: {
    readonly call?: number | null;
    readonly million_tokens?: number | null;
    readonly user?: number | null;
    readonly user_day?: number | null;
    readonly session?: number | null;
  };
  readonly affords: {
    readonly nanodollars?: number;
    readonly calls?: number | null;
  } | null;
  readonly against: {
    readonly by?: string;
    readonly data?: readonly ({
      readonly value?: string | null;
      readonly cost_nanodollars?: number;
      readonly revenue_nanodollars?: number;
      readonly margin_nanodollars?: number;
      /** The cost of each dollar that came in. */
      readonly cost_share?: number | null;
    })[];
  } | null;
};

export type ReportAmounts = {
  /** Calls that ended and were charged. */
  readonly calls: number;
  readonly refusals: number;
  /** Cached ones included. */
  readonly input_tokens: number;
  readonly cache_read_input_tokens?: number;
  readonly cache_write_input_tokens?: number;
  /** Reasoning included. */
  readonly output_tokens: number;
  readonly reasoning_output_tokens?: number;
  readonly cost_nanodollars: number;
  /** The part of the cost that was counted by Purser, because the provider did not say what calls used. */
  readonly estimated_nanodollars?: number;
  /** The part of the cost that is charged at an estimate. */
  readonly unconfirmed_nanodollars?: number;
  /** Calls to models without a price, which count as nothing in the cost. */
  readonly unpriced_calls?: number;
  /** The part of the input that its session had sent before, as far as that was seen: at least so much. */
  readonly resent_input_tokens?: number;
  /** The part of that which was read from the provider's prompt cache. */
  readonly resent_cache_read_input_tokens?: number;
  /** The part of the cost that sending it again cost. */
  readonly resent_nanodollars?: number;
  /** Calls that got an answer which was known, so that no provider was asked. They are not in `calls`. */
  readonly known_answers?: number;
  /** What ladders saved, less what they spent for that, as far as it is known. It is no part of the cost. */
  readonly saved_nanodollars?: number;
};

export type Resent = {
  /** Calls whose end is known. */
  readonly calls: number;
  /** Those of which it was looked at what their session had sent before. */
  readonly session_calls: number;
  /** Cached ones included. */
  readonly input_tokens: number;
  /** The part that its session had sent before, as far as that was seen: at least so much. */
  readonly resent_input_tokens: number;
  /** The part of that which was read from the provider's prompt cache. */
  readonly resent_cache_read_input_tokens?: number;
  /** The rest of it, which was not. */
  readonly resent_paid_input_tokens?: number;
  readonly cost_nanodollars: number;
  /** The part of the cost that sending it again cost. */
  readonly resent_nanodollars: number;
};

export type Waste = {
  readonly since: string;
  readonly until: string;
  readonly time_zone: string;
  readonly by: readonly (string)[];
  readonly total: Resent;
  readonly data: readonly (Resent & {
    readonly values?: Readonly<Record<string, string | null>>;
  })[];
  /** How many there are in all. */
  readonly rows: number;
  /** How long the answers of each feature are. */
  readonly answers: readonly ({
    readonly feature?: string | null;
    readonly calls?: number;
    /** Calls whose caller set no cap for the answer. */
    readonly uncapped_calls?: number;
    readonly p50_output_tokens?: number;
    readonly p95_output_tokens?: number;
    readonly max_output_tokens?: number;
    /** What a cap at the p95 would have saved of the calls that had none. */
    readonly saved_nanodollars?: number;
  })[];
  /** What could be saved, each by itself: they overlap, so they do not add up. */
  readonly savings: readonly ({
    readonly kind: "caching" | "output" | "batch" | "model";
    /** The calls that would have cost less. */
    readonly calls: number;
    readonly nanodollars: number;
    /** How it was reckoned. */
    readonly how: string;
  })[];
  /** Calls whose price has changed since: nothing is said of what could be saved of them. */
  readonly repriced_calls: number;
};

export type SavedMoney = {
  /** What was saved of calls, as far as that can be known; those that became dearer are taken off. */
  readonly gross_nanodollars: number;
  /** What calls cost that rungs made themselves, such as those that write summaries. */
  readonly spent_nanodollars: number;
  /** The first less the second. */
  readonly saved_nanodollars: number;
};

export type Savings = {
  readonly since: string;
  readonly until: string;
  readonly time_zone: string;
  readonly total: SavedMoney;
  readonly data: readonly (SavedMoney & {
    readonly budget: string;
    /** As it is written in the ladder; `refused` for calls that the budget refused. */
    readonly rung: string;
    readonly kind: "use" | "shorten" | "trim" | "summarise" | "cache" | "lookup" | "answer" | "handover" | "refused";
    /** Calls that it touched. One that several touched is with each of them. */
    readonly calls: number;
    /** Of these, calls of which nobody can know what it saved. */
    readonly unknown_calls: number;
    /** Tokens of input that it left out, as counted here. */
    readonly left_out_tokens: number;
    /** Whether the money is an estimate, because what was left out is counted here. */
    readonly is_estimate: boolean;
    /** How the money was reckoned. */
    readonly how: string;
  })[];
};

export type AskedCall = unknown | unknown | unknown;

export type Decision = {
  /** uncounted: the store is down and the budgets say to go on. free: the call costs nothing. There is nothing to settle of either. */
  readonly outcome: "allowed" | "uncounted" | "free";
  /** The body to send, of a call that was sent whole: with the output cap that fits. */
  readonly body?: Readonly<Record<string, unknown>> | string;
  readonly id?: string;
  /** The output cap to send: what was asked, or what fits. */
  readonly output_tokens?: number;
  /** Held for the input. */
  readonly input_tokens?: number;
  /** The call is charged at its estimate if it is not settled by then. */
  readonly expires_at?: string;
  /** Every limit that applies, the tightest first. */
  readonly balances?: readonly (Balance)[];
  readonly message?: string;
};

export type ReportedUsage = {
  /** What the provider answered, in the place of usage: its JSON, or the text of its stream. */
  readonly answer?: Readonly<Record<string, unknown>> | readonly (unknown)[] | string;
  /** With which status it answered. */
  readonly status?: number;
  /** Of the answer, where it is neither JSON nor server-sent events. */
  readonly content_type?: string;
  /** The path of the call, where it was not sent whole. */
  readonly path?: string;
  /** Tokens by kind. Leave out what is not known: a total that nobody knows is charged as it was held. */
  readonly usage?: {
    /** All of the input, cached parts included. */
    readonly input_tokens?: number;
    readonly cache_read_input_tokens?: number;
    /** For 5 minutes and for 1 hour together. */
    readonly cache_write_input_tokens?: number;
    readonly cache_write1h_input_tokens?: number;
    readonly audio_input_tokens?: number;
    readonly image_input_tokens?: number;
    readonly unbilled_input_tokens?: number;
    /** All of the output, reasoning included. */
    readonly output_tokens?: number;
    readonly reasoning_output_tokens?: number;
    readonly audio_output_tokens?: number;
    readonly image_output_tokens?: number;
    readonly unbilled_output_tokens?: number;
    readonly tool_calls?: Readonly<Record<string, unknown>>;
    /** What the provider did for the answer and leaves out of these totals, in the same fields. */
    readonly besides?: Readonly<Record<string, unknown>>;
  };
  /** confirmed: the provider said so. */
  readonly certainty?: "confirmed" | "estimated" | "unconfirmed";
  /** The tier at which the provider served the call: the one that was asked for where it is left out. */
  readonly service?: "standard" | "batch" | "flex" | "priority";
};

export type Refusal = Problem & {
  readonly id?: string;
  /** The budget that refuses, as in the gateway's own refusals. */
  readonly budget?: Readonly<Record<string, unknown>>;
  /** When trying again makes sense, where that is within a minute. */
  readonly retry_after_ms?: number;
  /** The error as the client of the call reads it, where that was sent whole. */
  readonly body?: Readonly<Record<string, unknown>>;
};

/** RFC 9457. */
export type Problem = {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  /** One of the error codes. */
  readonly code: string;
};

/** What each operation takes and gives. */
export interface Operations {
  /** What is used today and this month, by whom, and where it leads. From sums, so that the size of the ledger does not matter. */
  readonly getOverview: { readonly input: Readonly<Record<string, never>>; readonly answer: Overview };
  /** What was used in the last hour, minute by minute, by one attribute. From sums in memory: at once, however many calls there are. */
  readonly getMinutes: { readonly input: { readonly query?: { readonly by?: "team" | "user" | "feature" | "model" | "endpoint" | "key" } }; readonly answer: Minutes };
  /** Who signs in by name, without anything of their passwords. */
  readonly listPeople: { readonly input: Readonly<Record<string, never>>; readonly answer: {
    readonly data: readonly (Person)[];
  } };
  /** Lets somebody sign in by name. The password that is made is in this answer and never again. */
  readonly createPerson: { readonly input: { readonly body: {
      readonly name: string;
      /** As a key of that role, but for calls, which need a key. */
      readonly role: "member" | "viewer" | "admin";
      /** Whose calls a member sees, and whose budgets besides. */
      readonly attributes?: {
        readonly org?: string;
        readonly team?: string;
        readonly product?: string;
        readonly feature?: string;
        readonly user?: string;
        readonly tier?: string;
      };
      /** One is made where it is left out. */
      readonly password?: string;
    } }; readonly answer: Person & {
    readonly password: string;
  } };
  /** Ends the sessions of a person, and lets them sign in no more. */
  readonly removePerson: { readonly input: { readonly path: { readonly name: string } }; readonly answer: {
    readonly name: string;
    readonly removed: true;
  } };
  /** Gives a person another password, and ends the sessions that began with the old one. */
  readonly resetPassword: { readonly input: { readonly path: { readonly name: string }; readonly body?: {
      /** One is made where it is left out. */
      readonly password?: string;
    } }; readonly answer: Person & {
    readonly password: string;
  } };
  /** Every budget as it is configured, the budget above it, and where its fullest balances lead. */
  readonly listBudgetTree: { readonly input: Readonly<Record<string, never>>; readonly answer: {
    readonly data: readonly (Budget)[];
  } };
  /** The limits that follow what is used of them: what was decided, when they are looked at next, and what would be decided now. */
  readonly listAdjustments: { readonly input: Readonly<Record<string, never>>; readonly answer: {
    readonly data: readonly (Adjustment)[];
  } };
  /** What budgets that only observe would have refused, and of whom; also those whose trial is over. */
  readonly listTrials: { readonly input: Readonly<Record<string, never>>; readonly answer: {
    readonly data: readonly (Trial)[];
  } };
  /** A budget as it is written in the configuration file. */
  readonly getBudget: { readonly input: { readonly path: { readonly name: string } }; readonly answer: WrittenBudget };
  /** Writes a budget anew in the configuration file, which is taken over within seconds. What stays the same stays as it is written. */
  readonly replaceBudget: { readonly input: { readonly path: { readonly name: string }; readonly query?: { readonly dry_run?: boolean }; readonly body: {
      readonly budget: BudgetItem;
      /** As `GET` said it: who changes what somebody else has changed meanwhile is told. */
      readonly version?: string;
      /** Stands in the audit log. */
      readonly why?: string;
    } }; readonly answer: BudgetChange | BudgetTrial };
  /** Takes a budget out of the configuration file. Its charges stay in the ledger. */
  readonly removeBudget: { readonly input: { readonly path: { readonly name: string }; readonly query?: { readonly dry_run?: boolean }; readonly body?: {
      /** As `GET` said it: who changes what somebody else has changed meanwhile is told. */
      readonly version?: string;
      /** Stands in the audit log. */
      readonly why?: string;
    } }; readonly answer: {
    readonly name: string;
    readonly removed: true;
  } | BudgetTrial };
  /** What the limits of a budget were charged, by the hour, all its balances together. */
  readonly getBudgetHistory: { readonly input: { readonly path: { readonly name: string }; readonly query?: { readonly days?: number } }; readonly answer: {
    readonly data: readonly (BudgetHistory)[];
  } };
  /** Writes another amount of a limit into the configuration file, which is taken over within seconds. */
  readonly changeLimit: { readonly input: { readonly path: { readonly name: string }; readonly body: {
      /** As it is now: `$50 / month`. */
      readonly limit: string;
      /** As it is to be, in the same unit and window. */
      readonly to: string;
      /** Stands in the audit log. */
      readonly why?: string;
    } }; readonly answer: LimitChange };
  /** What another amount of one of its limits would have done with the calls of the last days. */
  readonly playBack: { readonly input: { readonly path: { readonly name: string }; readonly query: { readonly limit: string; readonly days?: number } }; readonly answer: WhatIf };
  /** What the models of the configured providers cost now, and which were used in the last 90 days. */
  readonly listPrices: { readonly input: Readonly<Record<string, never>>; readonly answer: PriceList };
  /** How this gateway is configured now, without any secret. */
  readonly getSettings: { readonly input: Readonly<Record<string, never>>; readonly answer: Settings };
  /** What people were told, and who looks after it: the newest first. */
  readonly listAlerts: { readonly input: { readonly query?: { readonly limit?: number; readonly state?: "open" | "acknowledged" | "snoozed" | "over" } }; readonly answer: {
    readonly data: readonly (Alert)[];
  } };
  /** Somebody looks after an alert: it is told to nobody else, and not again. */
  readonly acknowledgeAlert: { readonly input: { readonly path: { readonly id: string }; readonly body?: {
      /** Who does it. */
      readonly by?: string;
    } }; readonly answer: Alert };
  /** Nobody is told of the same thing for a while; then it is told again, if nobody has acknowledged it. */
  readonly snoozeAlert: { readonly input: { readonly path: { readonly id: string }; readonly body: {
      /** `30m`, `2h`; 7 days at most. */
      readonly for: string;
      /** Who does it. */
      readonly by?: string;
    } }; readonly answer: Alert };
  /** More that is asked for and not answered yet, the newest first. */
  readonly listAsks: { readonly input: Readonly<Record<string, never>>; readonly answer: {
    readonly data: readonly (Ask)[];
  } };
  /** Gives what is asked for, or declines it. The calls that wait for it go on. */
  readonly answerAsk: { readonly input: { readonly path: { readonly id: string }; readonly body: {
      readonly answer: "give" | "decline";
      /** Who does it. */
      readonly giver?: string;
    } }; readonly answer: Ask & {
    readonly answer: "given" | "declined";
  } };
  /** Conversations that people go on with, whoever waits longest first. Without what was said. */
  readonly listHandovers: { readonly input: { readonly query?: { readonly all?: boolean } }; readonly answer: {
    readonly data: readonly (Handover)[];
    readonly total: number;
  } };
  /** One of them, with what was said where the ladder says that it is kept. That it was read stands in the audit log. Not for viewers. */
  readonly getHandover: { readonly input: { readonly path: { readonly id: string } }; readonly answer: WholeHandover };
  /** Somebody goes on with a conversation. */
  readonly takeHandover: { readonly input: { readonly path: { readonly id: string }; readonly body?: {
      /** Who does it; the key, or the person who signed in, where it is left out. */
      readonly by?: string;
      /** Takes it over from whoever has it. */
      readonly over?: boolean;
    } }; readonly answer: OneHandover };
  /** What the next call of the conversation gets. The audit log has that it was answered, and not the text. */
  readonly answerHandover: { readonly input: { readonly path: { readonly id: string }; readonly body: {
      /** Who does it; the key, or the person who signed in, where it is left out. */
      readonly by?: string;
      readonly text: string;
      /** Gives it back at once. */
      readonly return?: boolean;
    } }; readonly answer: OneHandover };
  /** Gives a conversation back: its calls go on as before, in whatever state its budget is. */
  readonly returnHandover: { readonly input: { readonly path: { readonly id: string }; readonly body?: {
      /** Who does it; the key, or the person who signed in, where it is left out. */
      readonly by?: string;
    } }; readonly answer: OneHandover };
  /** Every balance as it stands: one for each limit, and for each subject that used it in its window. */
  readonly listBudgets: { readonly input: { readonly query?: { readonly budget?: string; readonly most?: number; readonly owners?: boolean } }; readonly answer: {
    readonly data: readonly (Balance)[];
  } };
  /** Writes a new budget into the configuration file, which is taken over within seconds. */
  readonly createBudget: { readonly input: { readonly query?: { readonly dry_run?: boolean }; readonly body: {
      readonly budget: BudgetItem;
      /** Stands in the audit log. */
      readonly why?: string;
    } }; readonly answer: BudgetTrial | BudgetChange };
  /** What is left of the tokens that providers give away. */
  readonly listAllowances: { readonly input: Readonly<Record<string, never>>; readonly answer: {
    readonly data: readonly (Allowance)[];
  } };
  /** How much of what was promised to providers is used, and what will be paid for nothing. */
  readonly listCommitments: { readonly input: Readonly<Record<string, never>>; readonly answer: {
    readonly data: readonly (Commitment)[];
  } };
  /** What might be committed to at each provider, by what was used there, and what offers would have come to. */
  readonly adviseCommitments: { readonly input: { readonly query?: { readonly since?: string; readonly until?: string; readonly provider?: readonly (string)[]; readonly model?: readonly (string)[]; readonly discount?: string; readonly offer?: readonly (string)[] } }; readonly answer: CommitmentAdvice };
  /** What commitments make of what providers bill, day by day of UTC, for comparing it with the ledger. */
  readonly listCommittedBills: { readonly input: { readonly query?: { readonly since?: string; readonly until?: string } }; readonly answer: {
    readonly data: readonly (CommittedBill)[];
  } };
  /** Lets a balance begin again at nothing. Calls in flight keep what they hold, and every charge stays in the ledger. */
  readonly resetBudget: { readonly input: { readonly path: { readonly name: string }; readonly body: Reset }; readonly answer: {
    readonly data: readonly (Balance)[];
  } };
  /** The grants that are in force or will be, oldest first. */
  readonly listGrants: { readonly input: { readonly query?: { readonly budget?: string } }; readonly answer: {
    readonly data: readonly (Grant)[];
  } };
  /** Gives a subject more of a limit for a time. It ends by itself. */
  readonly createGrant: { readonly input: { readonly headers?: { readonly "Idempotency-Key"?: string }; readonly body: NewGrant }; readonly answer: Grant };
  /** Ends a grant at once. */
  readonly revokeGrant: { readonly input: { readonly path: { readonly id: string }; readonly body: {
      /** Who does it; known by the key where it is left out. */
      readonly giver?: string;
      /** Kept in the ledger. */
      readonly why?: string;
    } }; readonly answer: {
    readonly id: string;
    readonly revoked: true;
  } };
  /** The newest calls, allowed and denied. */
  readonly listRequests: { readonly input: { readonly query?: { readonly limit?: number; readonly after_id?: string; readonly filter?: readonly (string)[]; readonly outcome?: "denied" | "allowed" } }; readonly answer: {
    readonly data: readonly (CallSummary)[];
    readonly has_more: boolean;
    readonly last_id: string | null;
  } };
  /** Why one call was allowed or denied, what it was charged, and the ledger rows behind both. */
  readonly getRequest: { readonly input: { readonly path: { readonly id: string } }; readonly answer: CallReport };
  /** Usage and cost of a time, by attributes and by steps of the calendar. */
  readonly report: { readonly input: { readonly query?: { readonly since?: string; readonly until?: string; readonly by?: string; readonly step?: "hour" | "day" | "month"; readonly time_zone?: string; readonly filter?: readonly (string)[]; readonly compare?: "before"; readonly format?: "json" | "csv" | "focus" } }; readonly answer: {
    /** The period before, where it was asked for. */
    readonly compared?: {
      readonly since?: string;
      readonly until?: string;
    };
    readonly since: string;
    readonly until: string;
    readonly by: readonly (string)[];
    readonly step: "hour" | "day" | "month" | null;
    readonly time_zone: string;
    readonly data: readonly (ReportRow)[];
  } };
  /** What each team (product, customer, …) is charged for a month, with its owner. Together they are all that was charged. */
  readonly statements: { readonly input: { readonly query?: { readonly month?: string; readonly by?: string; readonly time_zone?: string; readonly format?: "json" | "csv" | "html" } }; readonly answer: {
    readonly month: string;
    readonly since: string;
    readonly until: string;
    /** Whether the month is over. */
    readonly is_final: boolean;
    readonly time_zone: string;
    readonly by: string;
    readonly total: ReportAmounts;
    readonly before: ReportAmounts;
    readonly data: readonly (Statement)[];
  } };
  /** Who spends most, and how much of the whole that is. */
  readonly listSpenders: { readonly input: { readonly query?: { readonly by?: string; readonly most?: number; readonly since?: string; readonly until?: string; readonly time_zone?: string; readonly filter?: readonly (string)[] } }; readonly answer: {
    readonly since: string;
    readonly until: string;
    readonly time_zone: string;
    readonly by: string;
    /** How many there are in all. */
    readonly spenders: number;
    readonly total: ReportAmounts;
    readonly data: readonly (ReportAmounts & {
      readonly value?: string | null;
      readonly share?: number;
    })[];
    /** How much the dearest few in a hundred use. */
    readonly concentration: readonly ({
      readonly percent?: number;
      readonly spenders?: number;
      readonly share?: number;
    })[];
  } };
  /** How much of the input was sent again and what that cost, how long answers are, and what could be saved. */
  readonly showWaste: { readonly input: { readonly query?: { readonly by?: string; readonly most?: number; readonly since?: string; readonly until?: string; readonly time_zone?: string; readonly filter?: readonly (string)[] } }; readonly answer: Waste };
  /** What ladders have saved, by budget and rung, and how that was reckoned. */
  readonly showSavings: { readonly input: { readonly query?: { readonly budget?: string; readonly since?: string; readonly until?: string; readonly time_zone?: string } }; readonly answer: Savings };
  /** What a call, a user and a session cost; against revenue, and what an amount pays for. Changes nothing. */
  readonly economics: { readonly input: { readonly body: EconomicsQuestion }; readonly answer: Economics };
  /** What keys are called, those that were revoked too: reports have their ids. */
  readonly listKeyNames: { readonly input: Readonly<Record<string, never>>; readonly answer: {
    readonly data: readonly ({
      readonly id: string;
      readonly name: string;
      readonly revoked: boolean;
    })[];
  } };
  /** Every key, without its secret. */
  readonly listKeys: { readonly input: Readonly<Record<string, never>>; readonly answer: {
    readonly data: readonly (Key)[];
  } };
  /** Makes a key. Its secret is in this answer and never again. */
  readonly createKey: { readonly input: { readonly body: NewKey }; readonly answer: Key & {
    readonly secret: string;
  } };
  /** Ends a key at once. */
  readonly revokeKey: { readonly input: { readonly path: { readonly id: string } }; readonly answer: {
    readonly id: string;
    readonly revoked: true;
  } };
  /** What is switched off, by whom, why and until when. */
  readonly listSwitches: { readonly input: { readonly query?: { readonly all?: "true" } }; readonly answer: {
    readonly data: readonly (Switch)[];
  } };
  /** Refuses calls from now on and ends their running streams within a second. */
  readonly switchOff: { readonly input: { readonly body: NewSwitch }; readonly answer: Switch };
  /** Lets calls pass again. */
  readonly switchOn: { readonly input: { readonly path: { readonly id: string }; readonly query?: { readonly why?: string; readonly by?: string } }; readonly answer: Switch };
  /** Which guards stand against calls now, against whose, since when, until when and why. */
  readonly listGuards: { readonly input: Readonly<Record<string, never>>; readonly answer: {
    readonly data: readonly (Guard)[];
  } };
  /** Lets calls pass before the time. The guard trips again only if they go on as before. */
  readonly endGuard: { readonly input: { readonly path: { readonly id: string }; readonly query?: { readonly why?: string; readonly by?: string } }; readonly answer: Guard };
  /** Calls that wait for their budgets, the next one first, and those that have ended and were not fetched. Without texts and answers. */
  readonly listQueue: { readonly input: Readonly<Record<string, never>>; readonly answer: {
    readonly data: readonly (WaitingCall)[];
    readonly total: number;
  } };
  /** Calls off a call that waits: whoever comes for its answer is told why. Of one that has ended, deletes the answer. */
  readonly callOffQueued: { readonly input: { readonly path: { readonly id: string }; readonly query?: { readonly why?: string; readonly by?: string } }; readonly answer: WaitingCall };
  /** Lets a call that waits ask its budget now. */
  readonly runQueued: { readonly input: { readonly path: { readonly id: string }; readonly query?: { readonly why?: string; readonly by?: string } }; readonly answer: WaitingCall };
  /** Where people are told, and whether it worked. Without addresses and keys: those are secrets. */
  readonly listChannels: { readonly input: Readonly<Record<string, never>>; readonly answer: {
    readonly data: readonly (Channel)[];
  } };
  /** Delivers a notice that says that it is a test. */
  readonly testChannel: { readonly input: { readonly path: { readonly id: string } }; readonly answer: Delivery };
  /** Who changed what, who was not let in: the newest lines of the audit log of this data folder. */
  readonly listDeeds: { readonly input: { readonly query?: { readonly limit?: number; readonly before?: number; readonly about?: "people" } }; readonly answer: {
    readonly data: readonly (Deed)[];
    readonly has_more: boolean;
  } };
  /** The latest tries to deliver notices, oldest first. */
  readonly listDeliveries: { readonly input: Readonly<Record<string, never>>; readonly answer: {
    readonly data: readonly (Delivery)[];
  } };
  /** Holds the most that a call can use on every budget that it belongs to, or says why not: for calls that others send. */
  readonly reserveCall: { readonly input: { readonly headers?: { readonly "Idempotency-Key"?: string }; readonly body: AskedCall }; readonly answer: Decision };
  /** Replaces the hold by what the call used. Said late, it corrects what was charged when the lease ran out; said twice, it is charged once. */
  readonly settleCall: { readonly input: { readonly path: { readonly id: string }; readonly body: ReportedUsage }; readonly answer: {
    readonly id: string;
    readonly outcome: "settled" | "released" | "corrected" | "duplicate";
    readonly usage: Readonly<Record<string, unknown>> | null;
    readonly cost_nanodollars: number | null;
    readonly certainty: "confirmed" | "estimated" | "unconfirmed" | null;
  } };
  /** Returns the hold of a call that was never sent, or that costs nothing. */
  readonly releaseCall: { readonly input: { readonly path: { readonly id: string }; readonly body: {
      readonly why?: string;
    } }; readonly answer: {
    readonly id: string;
    readonly outcome: "released" | "corrected" | "duplicate";
  } };
  /** Renews the lease of a call that is still in flight. */
  readonly extendCall: { readonly input: { readonly path: { readonly id: string }; readonly body: {
      /** How long the hold lives without being extended. */
      readonly lease_seconds: number;
    } }; readonly answer: {
    readonly id: string;
    readonly outcome: "extended";
    readonly expires_at: string;
  } };
  /** The same decision in headers: for nginx's auth_request and Envoy's ext_authz. */
  readonly authorizeCall: { readonly input: { readonly query?: { readonly status?: "exact" }; readonly headers: { readonly "x-purser-provider": string; readonly "x-purser-model": string; readonly "x-purser-input-tokens": string; readonly "x-purser-max-output-tokens": string; readonly "x-purser-least-output-tokens"?: string; readonly "x-purser-copies"?: string; readonly "x-purser-lease-seconds"?: string; readonly "x-purser-decision-id"?: string; readonly "x-purser-org"?: string; readonly "x-purser-team"?: string; readonly "x-purser-product"?: string; readonly "x-purser-feature"?: string; readonly "x-purser-user"?: string; readonly "x-purser-tier"?: string; readonly "x-purser-session"?: string; readonly "x-purser-task"?: string; readonly "x-purser-tags"?: string } }; readonly answer: Decision };
  /** The same decision in headers: for nginx's auth_request and Envoy's ext_authz. */
  readonly authorizeCallByPost: { readonly input: { readonly query?: { readonly status?: "exact" }; readonly headers: { readonly "x-purser-provider": string; readonly "x-purser-model": string; readonly "x-purser-input-tokens": string; readonly "x-purser-max-output-tokens": string; readonly "x-purser-least-output-tokens"?: string; readonly "x-purser-copies"?: string; readonly "x-purser-lease-seconds"?: string; readonly "x-purser-decision-id"?: string; readonly "x-purser-org"?: string; readonly "x-purser-team"?: string; readonly "x-purser-product"?: string; readonly "x-purser-feature"?: string; readonly "x-purser-user"?: string; readonly "x-purser-tier"?: string; readonly "x-purser-session"?: string; readonly "x-purser-task"?: string; readonly "x-purser-tags"?: string } }; readonly answer: Decision };
  /** This description. */
  readonly getOpenapi: { readonly input: Readonly<Record<string, never>>; readonly answer: Readonly<Record<string, unknown>> };
}

/** The method and the path of each operation. */
export const OPERATIONS = {
  getOverview: ["GET", "/api/overview"],
  getMinutes: ["GET", "/api/minutes"],
  listPeople: ["GET", "/api/people"],
  createPerson: ["POST", "/api/people"],
  removePerson: ["DELETE", "/api/people/{name}"],
  resetPassword: ["POST", "/api/people/{name}/password"],
  listBudgetTree: ["GET", "/api/budget-tree"],
  listAdjustments: ["GET", "/api/adjustments"],
  listTrials: ["GET", "/api/trials"],
  getBudget: ["GET", "/api/budgets/{name}"],
  replaceBudget: ["PUT", "/api/budgets/{name}"],
  removeBudget: ["DELETE", "/api/budgets/{name}"],
  getBudgetHistory: ["GET", "/api/budgets/{name}/history"],
  changeLimit: ["POST", "/api/budgets/{name}/limit"],
  playBack: ["GET", "/api/budgets/{name}/what-if"],
  listPrices: ["GET", "/api/prices"],
  getSettings: ["GET", "/api/settings"],
  listAlerts: ["GET", "/api/alerts"],
  acknowledgeAlert: ["POST", "/api/alerts/{id}/acknowledge"],
  snoozeAlert: ["POST", "/api/alerts/{id}/snooze"],
  listAsks: ["GET", "/api/asks"],
  answerAsk: ["POST", "/api/asks/{id}"],
  listHandovers: ["GET", "/api/handovers"],
  getHandover: ["GET", "/api/handovers/{id}"],
  takeHandover: ["POST", "/api/handovers/{id}/take"],
  answerHandover: ["POST", "/api/handovers/{id}/answer"],
  returnHandover: ["POST", "/api/handovers/{id}/return"],
  listBudgets: ["GET", "/api/budgets"],
  createBudget: ["POST", "/api/budgets"],
  listAllowances: ["GET", "/api/allowances"],
  listCommitments: ["GET", "/api/commitments"],
  adviseCommitments: ["GET", "/api/commitments/advice"],
  listCommittedBills: ["GET", "/api/commitments/billed"],
  resetBudget: ["POST", "/api/budgets/{name}/reset"],
  listGrants: ["GET", "/api/grants"],
  createGrant: ["POST", "/api/grants"],
  revokeGrant: ["DELETE", "/api/grants/{id}"],
  listRequests: ["GET", "/api/requests"],
  getRequest: ["GET", "/api/requests/{id}"],
  report: ["GET", "/api/report"],
  statements: ["GET", "/api/statements"],
  listSpenders: ["GET", "/api/spenders"],
  showWaste: ["GET", "/api/waste"],
  showSavings: ["GET", "/api/savings"],
  economics: ["POST", "/api/economics"],
  listKeyNames: ["GET", "/api/key-names"],
  listKeys: ["GET", "/api/keys"],
  createKey: ["POST", "/api/keys"],
  revokeKey: ["DELETE", "/api/keys/{id}"],
  listSwitches: ["GET", "/api/switches"],
  switchOff: ["POST", "/api/switches"],
  switchOn: ["DELETE", "/api/switches/{id}"],
  listGuards: ["GET", "/api/guards"],
  endGuard: ["DELETE", "/api/guards/{id}"],
  listQueue: ["GET", "/api/queue"],
  callOffQueued: ["DELETE", "/api/queue/{id}"],
  runQueued: ["POST", "/api/queue/{id}/run"],
  listChannels: ["GET", "/api/channels"],
  testChannel: ["POST", "/api/channels/{id}/test"],
  listDeeds: ["GET", "/api/audit"],
  listDeliveries: ["GET", "/api/deliveries"],
  reserveCall: ["POST", "/api/decisions"],
  settleCall: ["POST", "/api/decisions/{id}/settle"],
  releaseCall: ["POST", "/api/decisions/{id}/release"],
  extendCall: ["POST", "/api/decisions/{id}/extend"],
  authorizeCall: ["GET", "/api/authorize"],
  authorizeCallByPost: ["POST", "/api/authorize"],
  getOpenapi: ["GET", "/api/openapi.json"],
} as const satisfies { readonly [name in keyof Operations]: readonly [method: string, path: string] };
