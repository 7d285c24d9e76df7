export type {
  Adjusted,
  AdjustedLimit,
  AdjustedNow,
  AdjustingGrant,
  AdjustingOutlook,
  Proposed,
  ReadEvidence,
} from "./adjustments.ts";
export { type Call, LEASE_MS } from "./admission.ts";
export { type Allowance, Budgets, type BudgetsOptions, type PriceSource, type ResetInput } from "./budgets.ts";
export type { Pool } from "./counters.ts";
export type { AdjustedAmount, Adjusting, AdjustingInput, Evidence } from "./domain/adjusting.ts";
export {
  type Budget,
  type BudgetInput,
  checkSharing,
  DEFAULT_MIN_OUTPUT,
  defineBudget,
  type ExceptionInput,
  isLabelOf,
  type LimitException,
  type RequestLimits,
  subjectLabel,
} from "./domain/budget.ts";
export {
  CHARGED_PATHS,
  type ChargedTo,
  callWith,
  chargedTo,
  compileFilter,
  isReportPath,
  type ReportFilter,
  type ReportPath,
  reportValue,
} from "./domain/charged-to.ts";
export {
  type Balance,
  type Decision,
  type Denial,
  type DenialReason,
  describeRefusal,
  formatInstant,
  windowPhrase,
} from "./domain/decision.ts";
export { durationPhrase, parseDuration } from "./domain/duration.ts";
export type { GrantInput } from "./domain/grant.ts";
export {
  type Ladder,
  type LadderInput,
  type Nearness,
  parseLadder,
  parseRungs,
  type Rung,
  rungText,
} from "./domain/ladder.ts";
export {
  beyondStep,
  type LadderStep,
  type MeasuredLimit,
  measures,
  shareFrom,
  shareOf,
  shareText,
  stepId,
  stepPhrase,
  stepText,
} from "./domain/ladder-step.ts";
export type {
  Adjustment,
  CallDetail,
  Certainty,
  Charge,
  CounterRef,
  Entry,
  EntryKind,
  Grant,
  KnownAnswer,
  MovedAmount,
  Moves,
  Posting,
  RefusingLimit,
} from "./domain/ledger.ts";
export { capacityOf, formatAmount, formatLimit, LEAKY_WAIT_MS, type Limit, limitId, parseLimit, UNITS, type Unit } from "./domain/limit.ts";
export { type BudgetMode, type ModeInput, modeAt, observes, parseMode, trialEnd } from "./domain/mode.ts";
export {
  decimalDollars,
  formatDollars,
  type Nanodollars,
  nanodollars,
  type Picodollars,
  parseDollars,
  parseDollarsPerMillion,
} from "./domain/money.ts";
export { giverOf, parentOf, shownOwner, withOwners } from "./domain/owner.ts";
export { costOf, LACKS, type PriceTier, type RateCard, type Rates, ratesFor, type ServiceTier } from "./domain/price.ts";
export { amountsOf, heldFor } from "./domain/quote.ts";
export {
  chargeAmounts,
  periodBefore,
  REPORT_AMOUNTS,
  REPORT_STEPS,
  type ReportAmounts,
  type ReportQuery,
  type ReportRow,
  type ReportStep,
} from "./domain/report.ts";
export type { Resent, Sent } from "./domain/resent.ts";
export type { Reservation } from "./domain/reservation.ts";
export {
  type PricedModel,
  REFUSED,
  type RungEffect,
  type RungSaving,
  type SavingAmounts,
  type SavingRow,
  type SavingsQuery,
  savedNet,
  savingOfAnswer,
} from "./domain/saving.ts";
export type { SharingInput } from "./domain/sharing.ts";
export {
  ATTRIBUTES,
  type Attribute,
  compilePattern,
  compileSelector,
  includesSelection,
  isSubjectPath,
  type Selector,
  type Subject,
  type SubjectPath,
  subjectValue,
} from "./domain/subject.ts";
export { addUsage, totalTokens, type Usage } from "./domain/usage.ts";
export {
  isWeight,
  TOKEN_KINDS,
  type TokenKind,
  WEIGHT_FORM,
  WEIGHT_MOST,
  type Weights,
  type WeightsInput,
  weigh,
  weighMost,
  weightsFor,
  weightsOn,
  weightsPhrase,
} from "./domain/weights.ts";
export {
  BUCKET_PERIODS,
  type BucketPeriod,
  CALENDAR_PERIODS,
  type CalendarPeriod,
  checkTimeZone,
  movingLength,
  type Window,
  type WindowSpan,
  windowName,
  windowSpan,
  windowText,
} from "./domain/window.ts";
export { formatWindowStart, parseWindowStart, WINDOW_START_NAMES, type WindowStart } from "./domain/window-start.ts";
export { ERROR_CODES, type ErrorCode, PurserError } from "./errors.ts";
export type { ActiveRung, LadderPlan } from "./ladders.ts";
export type { SharedOut } from "./sharings.ts";
export type { Appended, ArchiveQuery, LedgerArchive } from "./stores/archive.ts";
export { type Digest, digestEntries, type Stretch } from "./stores/digest.ts";
export { Drain, type DrainOptions, type Lag } from "./stores/drain.ts";
export { createLeasedStore, type LeasedStore, type LeasedStoreOptions } from "./stores/leased/index.ts";
export { createMemoryStore, type MemoryStoreOptions } from "./stores/memory.ts";
export { reportLedger, savingsOfLedger } from "./stores/reporting.ts";
export type { CounterFilter, LeasingStore, LedgerQuery, Store } from "./stores/store.ts";
export type { Timers } from "./timers.ts";
