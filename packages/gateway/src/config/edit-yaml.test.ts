import assert from "node:assert/strict";
import { test } from "node:test";
import { isSame, rewritten, type Written, type WrittenFields, written } from "./edit-yaml.ts";

const TEXT = `# Above all.
timezone: UTC   # of the office

budgets:
  # About the list.
  - name: company   # all of it
    limits: [$50,000 / month, 1M tokens / minute]   # agreed in June

  # Kim's.
  - name: chatbot
    for:
      feature: chat*    # and its kin
    limits:
      - "$10 / day"   # small
      # how many
      - '2k requests / day'
    owner: \${OWNER:-kim, or ann}

  - { name: trial, limits: $5 / month, per: [user] }  # the last
# The end.
expose: { cost: true }
`;

function fields(text: string): WrittenFields {
  return written(text) as WrittenFields;
}

/** The text with something else at a path of it; nothing takes it away. */
function put(text: string, path: readonly (string | number)[], value: unknown): string {
  const set = (now: Written, [step, ...rest]: readonly (string | number)[]): Written => {
    if (step === undefined) return value as Written;
    if (Array.isArray(now)) {
      const at = step as number;
      return value === undefined && rest.length === 0 ? now.toSpliced(at, 1) : now.toSpliced(at, 1, set(now[at], rest));
    }
    const { [step]: inner, ...others } = now as Record<string, Written>;
    return value === undefined && rest.length === 0 ? others : { ...(now as WrittenFields), [step]: set(inner ?? null, rest) };
  };
  return rewritten(text, set(fields(text), path) as WrittenFields);
}

/** Which lines are in one text and not in the other: `-` before, `+` after. */
function difference(before: string, after: string): readonly string[] {
  const [old, next] = [before.split("\n"), after.split("\n")];
  return [
    ...old.filter((line) => !next.includes(line)).map((line) => `-${line}`),
    ...next.filter((line) => !old.includes(line)).map((line) => `+${line}`),
  ];
}

test("a text that says the same already is not touched", () => {
  assert.equal(rewritten(TEXT, fields(TEXT)), TEXT);
  assert.equal(fields(TEXT).timezone, "UTC");
  assert.equal(((fields(TEXT).budgets as readonly WrittenFields[])[1] as WrittenFields).owner, `\${OWNER:-kim, or ann}`);
});

test("one value is written where the old one stands, in its quotes, and its comment stays", () => {
  const change = (path: readonly (string | number)[], value: unknown) => difference(TEXT, put(TEXT, ["budgets", ...path], value));
  assert.deepEqual(change([0, "limits", 0], "$60,000 / month"), [
    "-    limits: [$50,000 / month, 1M tokens / minute]   # agreed in June",
    "+    limits: [$60,000 / month, 1M tokens / minute]   # agreed in June",
  ]);
  assert.deepEqual(change([1, "limits", 0], "$1,000 / day"), ['-      - "$10 / day"   # small', '+      - "$1,000 / day"   # small']);
  assert.deepEqual(change([1, "limits", 1], "it's 3 requests"), ["-      - '2k requests / day'", "+      - 'it''s 3 requests'"]);
  assert.deepEqual(change([1, "for", "feature"], "a: b # c"), [
    "-      feature: chat*    # and its kin",
    '+      feature: "a: b # c"    # and its kin',
  ]);
  assert.deepEqual(change([2, "per", 0], "team, of all"), [
    "-  - { name: trial, limits: $5 / month, per: [user] }  # the last",
    '+  - { name: trial, limits: $5 / month, per: ["team, of all"] }  # the last',
  ]);
});

test("what is added stands behind what is there, in its style", () => {
  const add = (path: readonly (string | number)[], value: unknown) => difference(TEXT, put(TEXT, ["budgets", ...path], value));
  assert.deepEqual(add([0, "owner"], "kim"), ["+    owner: kim"]);
  assert.deepEqual(add([1, "limits", 2], "1 concurrent"), ["+      - 1 concurrent"]);
  assert.deepEqual(add([1, "limits", 0], "$11 / day").length, 2);
  assert.deepEqual(add([1, "ladder"], { "80%": ["slow", "tell"], "100%": 'answer "Sorry: later."' }), [
    "+    ladder:",
    "+      80%: [slow, tell]",
    "+      100%: 'answer \"Sorry: later.\"'",
  ]);
  assert.deepEqual(add([2, "mode"], "observe"), [
    "-  - { name: trial, limits: $5 / month, per: [user] }  # the last",
    "+  - { name: trial, limits: $5 / month, per: [user], mode: observe }  # the last",
  ]);
  // Entries that stand apart stay so.
  const item = { name: "new", for: { team: ["a", "b"] }, limits: ["$1,500 / day"] };
  assert.equal(
    put(TEXT, ["budgets", 3], item),
    TEXT.replace("# the last\n", "# the last\n\n  - name: new\n    for: { team: [a, b] }\n    limits: [$1,500 / day]\n"),
  );
  const front = rewritten(TEXT, { ...fields(TEXT), budgets: [item, ...(fields(TEXT).budgets as Written[])] });
  assert.deepEqual(difference(TEXT, front), ["+  - name: new", "+    for: { team: [a, b] }", "+    limits: [$1,500 / day]"]);
});

test("an entry goes with the comments that stand directly above it, and no other", () => {
  const removed = (at: number) => put(TEXT, ["budgets", at], undefined);
  assert.equal(removed(2), TEXT.replace("\n  - { name: trial, limits: $5 / month, per: [user] }  # the last\n", "\n"));
  assert.equal(removed(1), TEXT.replace(/ {2}# Kim's\.[\s\S]*or ann\}\n\n/, ""));
  // What stands above the first may be about them all.
  assert.equal(removed(0), TEXT.replace(/ {2}- name: company[^\n]*\n[^\n]*\n/, ""));
  assert.deepEqual(difference(TEXT, put(TEXT, ["budgets", 1, "owner"], undefined)), [`-    owner: \${OWNER:-kim, or ann}`]);
  assert.deepEqual(difference(TEXT, put(TEXT, ["budgets", 1, "limits", 0], undefined)), ['-      - "$10 / day"   # small']);
  assert.deepEqual(difference(TEXT, put(TEXT, ["budgets", 1, "limits", 1], undefined)), [
    "-      # how many",
    "-      - '2k requests / day'",
  ]);
  assert.match(put(TEXT, ["budgets", 2, "name"], undefined), /- \{ limits: \$5 \/ month, per: \[user\] \} {2}# the last/);
  assert.match(put(TEXT, ["budgets"], []), /\nbudgets: \[\] {2}# the last\n# The end\.\nexpose/);
});

test("a file of any shape can have its first budget", () => {
  const budgets = [{ name: "a", limits: ["$5 / day"] }];
  const block = "budgets:\n  - name: a\n    limits: [$5 / day]";
  for (const [before, after] of [
    ["", `${block}\n`],
    ["# nothing yet", `# nothing yet\n${block}\n`],
    ["timezone: UTC", `timezone: UTC\n${block}`],
    ["timezone: UTC # here\n# end\n", `timezone: UTC # here\n${block}\n# end\n`],
    ["budgets: []\n", `${block}\n`],
    ["budgets: [] # none\ntimezone: UTC\n", `${block} # none\ntimezone: UTC\n`],
    ["{ timezone: UTC }\n", "{ timezone: UTC, budgets: [{ name: a, limits: [$5 / day] }] }\n"],
    ["{}\n", `\n${block}\n`],
    ["providers:\n  openai:\n", `providers:\n  openai:\n${block}\n`],
    ["text: |\n  a\n  b\n", `text: |\n  a\n  b\n${block}\n`],
  ] as const)
    assert.equal(rewritten(before, { ...((written(before) ?? {}) as WrittenFields), budgets }), after, JSON.stringify(before));
});

test("lines end as they do in the file", () => {
  const windows = TEXT.replaceAll("\n", "\r\n");
  for (const change of [
    [["budgets", 3], { name: "new", limits: ["$1 / day"], request: { max_input: 5, models: ["a"] } }],
    [["budgets", 0], undefined],
    [["budgets", 1, "limits", 0], "$11 / day"],
    [["budgets", 1, "owner"], undefined],
  ] as const)
    assert.equal(put(windows, change[0], change[1]), put(TEXT, change[0], change[1]).replaceAll("\n", "\r\n"));
});

test("what an anchor holds is of others too, and is not changed", () => {
  const shared = "budgets:\n  - { name: a, limits: &some [$5 / day] }\n  - { name: b, limits: *some }\n  - { name: c }\n";
  const fixed = { code: "config_fixed" };
  assert.throws(() => put(shared, ["budgets", 0, "limits", 0], "$6 / day"), fixed);
  assert.throws(() => put(shared, ["budgets", 1, "limits", 0], "$6 / day"), fixed);
  assert.throws(() => put(shared, ["budgets", 0], undefined), fixed, "b would have nothing left");
  assert.equal(put(shared, ["budgets", 1], undefined), shared.replace("  - { name: b, limits: *some }\n", ""));
  assert.equal(put(shared, ["budgets", 1, "owner"], "kim"), shared.replace("*some }", "*some, owner: kim }"));
});

/** A dice that falls the same way for the same seed. */
function dice(seed: number): (sides: number) => number {
  let state = seed + 1;
  return (sides) => {
    state = (state * 48_271) % 2_147_483_647;
    return state % sides;
  };
}

const TEXTS = [
  "kim",
  "80%",
  "- a",
  "# no",
  "a: b",
  "$50,000 / month",
  "yes",
  "null",
  "0x1f",
  "",
  " a ",
  "it's",
  'say "hi"',
  "a\nb\n",
  "*x",
  "&y",
  "{z}",
  "[",
  "é☃",
  "1,5",
  `\${A:-b, c}`,
  "'",
  "?",
  "| x",
  "%d",
  "@",
  "a, b",
  "---",
  "...",
];

function anything(roll: (sides: number) => number, depth: number): Written {
  const kind = roll(depth === 0 ? 3 : 6);
  if (kind < 2) return TEXTS[roll(TEXTS.length)] as string;
  if (kind === 2) return roll(2) === 0 ? roll(1_000) : roll(2) === 0;
  if (kind === 3) return Array.from({ length: 1 + roll(3) }, () => anything(roll, depth - 1));
  return Object.fromEntries(Array.from({ length: 1 + roll(3) }, () => [`k${roll(5)}`, anything(roll, depth - 1)]));
}

function mutated(value: Written, roll: (sides: number) => number): Written {
  if (roll(5) === 0) return anything(roll, 2);
  if (Array.isArray(value)) {
    const at = roll(value.length + 1);
    const how = roll(3);
    if (how === 0 && value.length > 1) return value.toSpliced(at, 1);
    if (how === 1) return value.toSpliced(at, 0, anything(roll, 2));
    return at < value.length ? value.with(at, mutated(value[at], roll)) : value;
  }
  if (typeof value !== "object" || value === null) return anything(roll, 1);
  const names = Object.keys(value);
  const name = names[roll(names.length)] ?? "k";
  const { [name]: inner = null, ...others } = value as Record<string, Written>;
  const how = roll(3);
  if (how === 0 && names.length > 1) return others;
  if (how === 1) return { ...value, [`n${roll(9)}`]: anything(roll, 2) };
  return { ...(value as WrittenFields), [name]: mutated(inner, roll) };
}

test("whatever becomes of one entry, the text says it, and the lines of all others are as they were", () => {
  for (let seed = 0; seed < 300; seed++) {
    const roll = dice(seed);
    let text = TEXT;
    for (let step = 0; step < 3; step++) {
      const root = fields(text);
      const budgets = root.budgets as readonly Written[];
      const at = roll(budgets.length);
      const item = { ...(mutated(budgets[at] as Written, roll) as WrittenFields), name: `b${seed}` };
      const wanted = { ...root, budgets: budgets.with(at, item) };
      const next = rewritten(text, wanted);
      assert.ok(isSame(written(next), wanted));
      for (const comment of ["# Above all.", "# of the office", "# About the list.", "# The end.", "expose: { cost: true }"])
        assert.ok(next.includes(comment), `seed ${seed}: ${comment}\n${next}`);
      text = next;
    }
  }
});
