import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { nearness, plainQuestion, wordingOf } from "./nearness.ts";

function between(one: string, other: string): number | undefined {
  const [a, b] = [wordingOf(one), wordingOf(other)];
  return a && b && nearness(a, b);
}

/** Pairs that ask the same, and how near they are. */
const ALIKE = [
  ["What are your opening hours?", "what are your opening hours", 1],
  ["What are your opening hours?", "What are your “opening hours”?!", 1],
  ["What are your opening hours?", "ＷＨＡＴ ＡＲＥ ＹＯＵＲ ＯＰＥＮＩＮＧ ＨＯＵＲＳ？", 1],
  ["What are your opening hours?", "Hi, what are your opening hours please?", 0.86],
  ["What are your opening hours?", "Could you tell me what your opening hours are?", 0.75],
  ["How do I reset my password?", "How can I reset my password?", 0.83],
  ["How do I reset my password?", "How to reset my password", 0.8],
  ["What's the price of a ticket? I can't find it.", "What is the price of a ticket? I cannot find it.", 0.84],
  ["Can I bring a dog?", "May I bring a dog?", 0.76],
  ["What are your opening hours?", "What are your opening hours, please?", 0.89],
  ["Was kostet der Eintritt?", "Was kostet der Eintritt bitte?", 0.89],
  ["¿Cuál es el horario?", "Hola, ¿cuál es el horario, por favor?", 0.73],
  ["Quels sont les horaires ?", "Bonjour, quels sont les horaires, s'il vous plaît ?", 0.72],
] as const;

/** Pairs that share most of their letters, and ask something else. Whoever asks the one must never get the answer of the other. */
const DIFFERENT: Readonly<Record<string, readonly (readonly [string, string])[]>> = {
  "a number": [
    ["Does a ticket cost 15 euros?", "Does a ticket cost 16 euros?"],
    ["What is 1.5 times 2?", "What is 15 times 2?"],
    ["Is -5 degrees too cold?", "Is 5 degrees too cold?"],
    ["Is 5% interest high?", "Is 5 interest high?"],
    ["Is $5 enough?", "Is €5 enough?"],
    ["Are you open at 9 am?", "Are you open at 9 pm?"],
    ["What is 5!?", "What is 5?"],
    ["What is 10²?", "What is 102?"],
    ["How long is 5'?", 'How long is 5"?'],
    ["Which numbers are in [0, 5]?", "Which numbers are in (0, 5)?"],
    ["Is one ticket enough?", "Is two tickets enough?"],
    ["Who was Elizabeth I?", "Who was Elizabeth II?"],
  ],
  "a negation": [
    ["Can I return shoes?", "Can't I return shoes?"],
    ["Is it safe to drive?", "Is it not safe to drive?"],
    ["Can I pay with a card?", "Can I pay without a card?"],
    ["Do you ship to islands?", "Do you never ship to islands?"],
    ["Is this legal?", "Is this illegal?"],
    ["Darf ich das?", "Darf ich das nicht?"],
    ["No, cancel my order", "No cancel my order"],
    ["No—cancel my order", "No cancel my order"],
  ],
  "a name": [
    ["Who is Anna Smith?", "Who is Anna Smyth?"],
    ["Where does Jon live?", "Where does John live?"],
    ["What is the population of Austria?", "What is the population of Australia?"],
    ["how far is paris", "how far is parma"],
    ["Do you ship to US?", "Do you ship to us?"],
    ["Is plan A cheap?", "Is plan B cheap?"],
    ["What does vitamin A do?", "What does vitamin do?"],
    ["When did The Who tour?", "When did Who tour?"],
    ["Hello Kitty price", "Kitty price"],
    ["Is C# fast?", "Is C fast?"],
  ],
  "who does what to whom": [
    ["How far is it from Paris to Rome?", "How far is it from Rome to Paris?"],
    ["Can I call you?", "Can you call me?"],
    ["Where is my order?", "Where is your order?"],
    ["What do you do?", "What can you do?"],
    ["Should I eat before surgery?", "Should I eat after surgery?"],
    ["Must I bring a dog?", "May I bring a dog?"],
  ],
  "any other word": [
    ["How do I enable logging?", "How do I disable logging?"],
    ["How do I cancel my order?", "How do I confirm my order?"],
    ["How do I cancel my order?", "Why do I cancel my order?"],
    ["Are there few errors?", "Are there a few errors?"],
    ["What is the time?", "What is time?"],
    ["What is the point?", "What is a point?"],
    ["What time is the concert?", "When is the concert?"],
    ["Am I able to drive after surgery?", "Am I allowed to drive after surgery?"],
    ["Did he act kindly?", "Did he act?"],
    ["So what?", "What?"],
    ["Where can I live?", "Where do I live?"],
    ["Can I return a shoe?", "Can I return a shoes?"],
    ["Is there casual wear?", "Is there causal wear?"],
    ["What are your opening hours?", "What are your opening hours on Sunday?"],
    ["Is a != b?", "Is a = b?"],
    ["Can I return shoes?", "Can I return worn shoes?"],
  ],
};

describe("two questions", () => {
  for (const [one, other, expected] of ALIKE) {
    test(`"${other}" is ${expected} like "${one}"`, () => {
      assert.equal(between(one, other), expected);
      assert.equal(between(other, one), expected);
    });
  }

  for (const [what, pairs] of Object.entries(DIFFERENT)) {
    test(`that differ in ${what} are not similar, however near their letters are`, () => {
      for (const [one, other] of pairs) assert.equal(between(one, other), 0, `"${one}" and "${other}"`);
    });
  }

  test("are not compared where one is long, has lines, or says nothing but courtesy", () => {
    for (const text of ["", "  ?! ", "please", "Bitte, por favor", "a\nb", `${"long ".repeat(61)}?`])
      assert.equal(wordingOf(text), undefined, text);
  });
});

test("a plain question has no case, no blanks and no punctuation, and keeps what is part of a word or number", () => {
  assert.equal(plainQuestion("  ¿Ｗhat  are—your “Opening”\tHours？！ "), "what are your opening hours");
  assert.equal(plainQuestion("Is it\u200b $5.50 (or 50%)?"), "is it $5.50 or 50%)");
  assert.equal(plainQuestion("you’re"), plainQuestion("You're!"));
});
