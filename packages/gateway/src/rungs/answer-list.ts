import { nearness, plainQuestion, QUESTION_MOST, type Wording, wordingOf } from "./nearness.ts";

/** Questions with one answer, as they stand in a list of the configuration. */
export interface ListedAnswer {
  readonly questions: readonly string[];
  readonly answer: string;
}

/** An answer that was found. */
export interface FoundAnswer {
  readonly answer: string;
  /** `faq, question 3` */
  readonly entry: string;
  /** None where the question is the same. */
  readonly nearness: number | undefined;
}

interface ListedQuestion {
  /** The place of its answer in the list, from 1 on. */
  readonly number: number;
  readonly answer: string;
}

/** Questions and answers that are ready, by a name. */
export class AnswerList {
  readonly name: string;
  readonly #byPlain = new Map<string, ListedQuestion>();
  readonly #bySense = new Map<string, { readonly wording: Wording; readonly question: ListedQuestion }[]>();

  constructor(name: string, answers: readonly ListedAnswer[]) {
    this.name = name;
    for (const [i, { questions, answer }] of answers.entries()) for (const text of questions) this.#add(text, { number: i + 1, answer });
  }

  /** How many questions it has, each wording counted. */
  get size(): number {
    return this.#byPlain.size;
  }

  #add(text: string, question: ListedQuestion): void {
    this.#byPlain.set(plainQuestion(text), question);
    const wording = wordingOf(text);
    if (!wording) return;
    const alike = this.#bySense.get(wording.sense);
    if (alike) alike.push({ wording, question });
    else this.#bySense.set(wording.sense, [{ wording, question }]);
  }

  /** The answer to the same question; or, from a nearness on, to the nearest. */
  find(text: string, least: number | undefined): FoundAnswer | undefined {
    if (text.length > QUESTION_MOST) return undefined;
    const same = this.#byPlain.get(plainQuestion(text));
    if (same) return this.#found(same, undefined);
    const asked = least === undefined ? undefined : wordingOf(text);
    if (!asked || least === undefined) return undefined;
    let nearest: FoundAnswer | undefined;
    for (const { wording, question } of this.#bySense.get(asked.sense) ?? []) {
      const near = nearness(asked, wording);
      if (near >= least && near > (nearest?.nearness ?? 0)) nearest = this.#found(question, near);
    }
    return nearest;
  }

  #found({ number, answer }: ListedQuestion, near: number | undefined): FoundAnswer {
    return { answer, entry: `${this.name}, question ${number}`, nearness: near };
  }
}
