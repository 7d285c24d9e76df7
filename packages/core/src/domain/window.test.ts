import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Temporal } from "temporal-polyfill";
import {
  CALENDAR_PERIODS,
  type CalendarPeriod,
  checkTimeZone,
  endOfDay,
  startingOn,
  type Window,
  windowSpan,
  windowText,
} from "./window.ts";
import { formatWindowStart, parseWindowStart, type WindowStart } from "./window-start.ts";

const ZONES = [
  "UTC",
  "Europe/Berlin",
  "America/New_York",
  "America/Sao_Paulo", // until 2019 its clock jumped over midnight, and was put back over it
  "Africa/Cairo", // the same, with summer time suspended during Ramadan
  "Asia/Kolkata", // half an hour off
  "Pacific/Apia", // had no 30 December 2011
  "Australia/Lord_Howe", // moves its clock by half an hour
  "America/St_Johns", // changed its clock at one minute past midnight
  "Asia/Kathmandu",
];
const FROM = Date.UTC(1990, 0, 1);
const UNTIL = Date.UTC(2040, 0, 1);

const calendar = (period: CalendarPeriod, timeZone: string) => ({ kind: "calendar", period, timeZone }) as const;
const at = (text: string) => Temporal.Instant.from(text).epochMilliseconds;
const iso = (instant: number | undefined) => (instant === undefined ? "never" : new Date(instant).toISOString());

/** A random instant, half of the time within two days of a change of the zone's clock. */
function instants(timeZone: string): fc.Arbitrary<number> {
  const changes = clockChanges(timeZone);
  const anywhere = fc.integer({ min: FROM, max: UNTIL });
  if (changes.length === 0) return anywhere;
  const near = fc.tuple(fc.constantFrom(...changes), fc.integer({ min: -2 * 86_400_000, max: 2 * 86_400_000 }));
  return fc.oneof(
    anywhere,
    near.map(([change, distance]) => change + distance),
  );
}

function clockChanges(timeZone: string): readonly number[] {
  const changes: number[] = [];
  let zoned = Temporal.Instant.fromEpochMilliseconds(FROM).toZonedDateTimeISO(timeZone);
  for (;;) {
    const next = zoned.getTimeZoneTransition("next");
    if (!next || next.epochMilliseconds > UNTIL) return changes;
    changes.push(next.epochMilliseconds);
    zoned = next;
  }
}

const DURATIONS = { day: { days: 1 }, week: { weeks: 1 }, month: { months: 1 }, quarter: { months: 3 }, year: { years: 1 } } as const;

/** Dates by the Temporal calendar, which shares no code with ours. */
function independentSpan(period: keyof typeof DURATIONS, timeZone: string, now: number) {
  const today = Temporal.Instant.fromEpochMilliseconds(now).toZonedDateTimeISO(timeZone).toPlainDate();
  const first = {
    day: today,
    week: today.subtract({ days: today.dayOfWeek - 1 }),
    month: today.with({ day: 1 }),
    quarter: today.with({ month: Math.floor((today.month - 1) / 3) * 3 + 1, day: 1 }),
    year: today.with({ month: 1, day: 1 }),
  }[period];
  const startOf = (date: Temporal.PlainDate) => date.toZonedDateTime(timeZone).epochMilliseconds;
  return { startsAt: startOf(first), resetsAt: startOf(first.add(DURATIONS[period])) };
}

for (const timeZone of ZONES) {
  test(`windows tile the time line in ${timeZone}: now is inside, and one ends where the next begins`, () => {
    fc.assert(
      fc.property(fc.constantFrom(...CALENDAR_PERIODS), instants(timeZone), (period, now) => {
        const window = calendar(period, timeZone);
        const { startsAt, resetsAt = Number.NaN } = windowSpan(window, now);
        assert.ok(startsAt <= now && now < resetsAt, `${period} ${iso(startsAt)} <= ${iso(now)} < ${iso(resetsAt)}`);
        assert.equal(iso(windowSpan(window, resetsAt).startsAt), iso(resetsAt), `the ${period} after ${iso(now)}`);
        assert.equal(iso(windowSpan(window, startsAt - 1).resetsAt), iso(startsAt), `the ${period} before ${iso(now)}`);
        assert.deepEqual(windowSpan(window, startsAt), { startsAt, resetsAt });
        assert.deepEqual(windowSpan(window, resetsAt - 1), { startsAt, resetsAt });
      }),
      { numRuns: 400 },
    );
  });

  // Temporal calls the minute past midnight that St John's showed twice a part of both days, so dates there are not comparable.
  if (timeZone === "America/St_Johns") continue;
  test(`days, weeks, months, quarters and years are those of the calendar in ${timeZone}`, () => {
    fc.assert(
      fc.property(fc.constantFrom("day", "week", "month", "quarter", "year"), instants(timeZone), (period, now) => {
        const { startsAt, resetsAt } = windowSpan(calendar(period, timeZone), now);
        const expected = independentSpan(period, timeZone, now);
        assert.deepEqual([iso(startsAt), iso(resetsAt)], [iso(expected.startsAt), iso(expected.resetsAt)], `${period} of ${iso(now)}`);
      }),
      { numRuns: 400 },
    );
  });

  test(`hours are those of the clock in ${timeZone}`, () => {
    const changes = new Set(clockChanges(timeZone));
    fc.assert(
      fc.property(instants(timeZone), (now) => {
        const { startsAt, resetsAt = Number.NaN } = windowSpan(calendar("hour", timeZone), now);
        for (const edge of [startsAt, resetsAt]) {
          const { minute, second } = Temporal.Instant.fromEpochMilliseconds(edge).toZonedDateTimeISO(timeZone);
          assert.ok((minute === 0 && second === 0) || changes.has(edge), `${iso(edge)} is ${minute}:${second} on the clock`);
        }
        assert.ok(resetsAt - startsAt === 3_600_000 || changes.has(startsAt) || changes.has(resetsAt), "an hour has sixty minutes");
      }),
      { numRuns: 400 },
    );
  });
}

/** The first day of a period that starts on a day of the user's choice, by the Temporal calendar. */
function independentStart(
  period: "week" | "month" | "quarter" | "year",
  { weekday, month = 1, day = 1 }: WindowStart,
  today: Temporal.PlainDate,
) {
  if (period === "week") return today.subtract({ days: (today.dayOfWeek - (weekday === 0 ? 7 : (weekday as number)) + 7) % 7 });
  const months = { month: 1, quarter: 3, year: 12 }[period];
  // Counted from a day far in the past, so that no month is ever subtracted from a month that was cut short.
  const origin = Temporal.PlainDate.from({ year: 1900, month, day: 1 });
  const startOf = (index: number) => {
    const first = origin.add({ months: index * months });
    return first.with({ day: Math.min(day, first.daysInMonth) });
  };
  let index = Math.floor(origin.until(today, { largestUnit: "months" }).months / months) + 1;
  while (Temporal.PlainDate.compare(startOf(index), today) > 0) index--;
  return { first: startOf(index), next: startOf(index + 1) };
}

const STARTS = [
  "sunday",
  "saturday",
  "1",
  "15",
  "28",
  "29",
  "30",
  "31",
  "april",
  "july",
  "february",
  "2026-03-15",
  "2024-02-29",
  "2025-12-31",
];

for (const timeZone of ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "Pacific/Apia", "UTC"]) {
  test(`windows that start on another day are those of the calendar in ${timeZone}, and tile the time line`, () => {
    fc.assert(
      fc.property(
        fc.constantFrom("week", "month", "quarter", "year"),
        fc.constantFrom(...STARTS),
        instants(timeZone),
        (period, text, now) => {
          const start = parseWindowStart(text);
          const window = startingOn(calendar(period, timeZone), start);
          if (!window) return;
          const { startsAt, resetsAt = Number.NaN } = windowSpan(window, now);
          const today = Temporal.Instant.fromEpochMilliseconds(now).toZonedDateTimeISO(timeZone).toPlainDate();
          const expected = independentStart(period, start, today);
          const days = "first" in expected ? expected : { first: expected, next: expected.add({ weeks: 1 }) };
          const instantOf = (date: Temporal.PlainDate) => iso(date.toZonedDateTime(timeZone).epochMilliseconds);
          assert.deepEqual(
            [iso(startsAt), iso(resetsAt)],
            [instantOf(days.first), instantOf(days.next)],
            `${period} from ${text} of ${iso(now)}`,
          );
          assert.equal(iso(windowSpan(window, resetsAt).startsAt), iso(resetsAt));
          assert.equal(iso(windowSpan(window, startsAt - 1).resetsAt), iso(startsAt));
        },
      ),
      { numRuns: 1_500 },
    );
  });
}

const STARTED = [
  ["a week from Sunday", "week", "sunday", "America/New_York", "2026-03-10T12:00Z", "2026-03-08T05:00Z", "2026-03-15T04:00Z"],
  [
    "a month from the 15th, over the end of a year",
    "month",
    "15",
    "Europe/Berlin",
    "2027-01-01T12:00Z",
    "2026-12-14T23:00Z",
    "2027-01-14T23:00Z",
  ],
  ["a month from the 31st in a month of 28 days", "month", "31", "UTC", "2026-02-28T12:00Z", "2026-02-28T00:00Z", "2026-03-31T00:00Z"],
  ["the month before it", "month", "31", "UTC", "2026-02-27T12:00Z", "2026-01-31T00:00Z", "2026-02-28T00:00Z"],
  ["a month from the 30th over a leap day", "month", "30", "UTC", "2028-02-29T12:00Z", "2028-02-29T00:00Z", "2028-03-30T00:00Z"],
  ["a fiscal year from April", "year", "april", "Asia/Kolkata", "2026-03-31T18:00Z", "2025-03-31T18:30Z", "2026-03-31T18:30Z"],
  ["a fiscal quarter from February", "quarter", "february", "UTC", "2027-01-15T00:00Z", "2026-11-01T00:00Z", "2027-02-01T00:00Z"],
  [
    "a year from an anniversary",
    "year",
    "2026-03-15",
    "Australia/Lord_Howe",
    "2026-11-22T12:00Z",
    "2026-03-14T13:00Z",
    "2027-03-14T13:00Z",
  ],
  ["a year from a leap day", "year", "2024-02-29", "UTC", "2027-02-28T00:00Z", "2027-02-28T00:00Z", "2028-02-29T00:00Z"],
  ["a quarter from an anniversary", "quarter", "2026-03-15", "Pacific/Apia", "2026-11-22T12:00Z", "2026-09-14T11:00Z", "2026-12-14T11:00Z"],
  ["a week from the day of the week of a date", "week", "2026-03-15", "UTC", "2026-11-25T12:00Z", "2026-11-22T00:00Z", "2026-11-29T00:00Z"],
] as const;

for (const [what, period, start, timeZone, now, startsAt, resetsAt] of STARTED) {
  test(`the span is right for ${what}`, () => {
    const span = windowSpan(startingOn(calendar(period, timeZone), parseWindowStart(start)) as Window, at(now));
    assert.deepEqual([iso(span.startsAt), iso(span.resetsAt)], [iso(at(startsAt)), iso(at(resetsAt))]);
  });
}

test("a start is known by what it changes: the calendar's own is none, and it names the counters where it is another", () => {
  const text = (period: CalendarPeriod, start: string) => {
    const window = startingOn(calendar(period, "UTC"), parseWindowStart(start));
    return window && windowText(window);
  };
  assert.deepEqual(
    [text("week", "monday"), text("month", "1"), text("quarter", "july"), text("year", "january")],
    ["week@UTC", "month@UTC", "quarter@UTC", "year@UTC"],
  );
  assert.equal(text("week", "sunday"), "week@UTC from sunday");
  assert.equal(text("month", "2026-03-15"), "month@UTC from 15");
  assert.equal(text("quarter", "may"), "quarter@UTC from february");
  assert.equal(text("year", "2026-03-15"), "year@UTC from 15 march");
  assert.deepEqual(
    [text("day", "sunday"), text("month", "april"), text("week", "15"), text("year", "15")],
    [undefined, undefined, undefined, undefined],
  );
  assert.equal(formatWindowStart(parseWindowStart("April")), "april");
});

for (const text of ["", "32", "0", "someday", "2026-02-30", "2026-13-01", "15.5", "-1"]) {
  test(`"${text}" is no day on which windows can start, and what to write is said`, () =>
    assert.throws(() => parseWindowStart(text), { code: "window_invalid", message: /Write a day of the week \(sunday\)/ }));
}

test("a day is over when the next one begins in its zone, also where that has no midnight", () => {
  const over = (text: string, timeZone: string) => iso(endOfDay(text, timeZone));
  assert.equal(over("2026-12-31", "Europe/Berlin"), iso(at("2026-12-31T23:00Z")));
  assert.equal(over("2018-11-03", "America/Sao_Paulo"), iso(at("2018-11-04T03:00Z")));
  assert.equal(over("2028-02-28", "UTC"), iso(at("2028-02-29T00:00Z")));
  assert.deepEqual([endOfDay("2026-02-29", "UTC"), endOfDay("31.12.2026", "UTC")], [undefined, undefined]);
});

const SPANS = [
  ["a day of 23 hours", "day", "Europe/Berlin", "2026-03-29T12:00Z", "2026-03-28T23:00Z", "2026-03-29T22:00Z"],
  ["a day of 25 hours", "day", "Europe/Berlin", "2026-10-25T12:00Z", "2026-10-24T22:00Z", "2026-10-25T23:00Z"],
  [
    "a month that the clock change makes shorter",
    "month",
    "America/New_York",
    "2026-03-20T12:00Z",
    "2026-03-01T05:00Z",
    "2026-04-01T04:00Z",
  ],
  ["the end of February in a leap year", "month", "UTC", "2028-02-29T23:59:59.999Z", "2028-02-01T00:00Z", "2028-03-01T00:00Z"],
  ["the end of February in a century without a leap day", "month", "UTC", "2100-02-28T23:59Z", "2100-02-01T00:00Z", "2100-03-01T00:00Z"],
  ["the last instant of a year", "year", "Asia/Kolkata", "2026-12-31T18:29:59.999Z", "2025-12-31T18:30Z", "2026-12-31T18:30Z"],
  ["a week over the end of a year", "week", "Europe/Berlin", "2027-01-01T12:00Z", "2026-12-27T23:00Z", "2027-01-03T23:00Z"],
  ["a Sunday, the last day of its week", "week", "UTC", "2026-11-22T23:59Z", "2026-11-16T00:00Z", "2026-11-23T00:00Z"],
  ["a quarter", "quarter", "UTC", "2026-11-22T12:00Z", "2026-10-01T00:00Z", "2027-01-01T00:00Z"],
  ["a day without midnight", "day", "America/Sao_Paulo", "2018-11-04T12:00Z", "2018-11-04T03:00Z", "2018-11-05T02:00Z"],
  ["the day before the day that Samoa skipped", "day", "Pacific/Apia", "2011-12-30T09:59Z", "2011-12-29T10:00Z", "2011-12-30T10:00Z"],
  ["the day after it", "day", "Pacific/Apia", "2011-12-30T10:00Z", "2011-12-30T10:00Z", "2011-12-31T10:00Z"],
  ["the first of two hours with one name", "hour", "Europe/Berlin", "2026-10-25T00:30Z", "2026-10-25T00:00Z", "2026-10-25T01:00Z"],
  ["the second of them", "hour", "Europe/Berlin", "2026-10-25T01:30Z", "2026-10-25T01:00Z", "2026-10-25T02:00Z"],
  ["an hour that begins at half past", "hour", "Asia/Kolkata", "2026-11-22T12:15Z", "2026-11-22T11:30Z", "2026-11-22T12:30Z"],
  ["half an hour that is shown again", "hour", "Australia/Lord_Howe", "2026-04-04T15:10Z", "2026-04-04T15:00Z", "2026-04-04T15:30Z"],
  ["an hour cut to its half", "hour", "Australia/Lord_Howe", "2026-10-03T15:40Z", "2026-10-03T15:30Z", "2026-10-03T16:00Z"],
  ["a minute", "minute", "Europe/Berlin", "2026-11-22T12:00:59.999Z", "2026-11-22T12:00Z", "2026-11-22T12:01Z"],
] as const;

for (const [what, period, timeZone, now, startsAt, resetsAt] of SPANS) {
  test(`the span is right for ${what}`, () => {
    const span = windowSpan(calendar(period, timeZone), at(now));
    assert.deepEqual([iso(span.startsAt), iso(span.resetsAt)], [iso(at(startsAt)), iso(at(resetsAt))]);
  });
}

test("a lifetime never resets", () => {
  assert.deepEqual(windowSpan({ kind: "lifetime" }, at("2026-11-22T12:00Z")), { startsAt: 0, resetsAt: undefined });
});

test("the same period of two zones is two windows", () => {
  assert.notEqual(windowText(calendar("day", "UTC")), windowText(calendar("day", "Europe/Berlin")));
});

test("a time zone that does not exist is refused with what to write", () => {
  assert.equal(checkTimeZone("Europe/Berlin"), "Europe/Berlin");
  assert.throws(() => checkTimeZone("Europe/Berlino"), { code: "window_invalid", message: /IANA name such as Europe\/Berlin/ });
});
