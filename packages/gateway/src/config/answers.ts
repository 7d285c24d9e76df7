import { readFileSync } from "node:fs";
import { dirname, extname, resolve } from "node:path";
import { type Budget, PurserError } from "@purser/core";
import { type CsvRecord, csvRecords } from "../delimited.ts";
import { AnswerList, type ListedAnswer } from "../rungs/answer-list.ts";
import { plainQuestion, QUESTION_MOST } from "../rungs/nearness.ts";
import { ANSWER_MOST, ANSWERS_MOST, type AnswerFields, type ConfigurationFields, LISTED_ANSWERS } from "./description.ts";
import type { Located } from "./field.ts";
import { suggestion } from "./nearest-name.ts";
import type { Environment } from "./providers.ts";
import { openSource, type Place, type Problem } from "./source.ts";

export interface ConfiguredAnswers {
  /** By their names. */
  readonly lists: ReadonlyMap<string, AnswerList>;
  /** The files that they were read from. */
  readonly files: readonly string[];
  /** What is wrong in these files. */
  readonly problems: readonly Problem[];
}

export interface AnswerTerms {
  /** The configuration's own file, from whose folder the others are named. */
  readonly file: string | undefined;
  readonly cwd: string;
  readonly environment: Environment;
}

/** More would keep calls waiting while the file is taken over. */
const QUESTIONS_MOST = 5_000;

/** A question with its answer, and where each stands. */
interface Listed extends ListedAnswer {
  readonly places: readonly Pick<Place, "problem">[];
}

/** The lists of questions and answers, of this file or of others that it names. */
export function configuredAnswers(answers: ConfigurationFields["answers"] = new Map(), terms: AnswerTerms): ConfiguredAnswers {
  const files: string[] = [];
  const problems: Problem[] = [];
  const lists = new Map<string, AnswerList>();
  for (const [name, { value, place }] of answers) {
    const listed =
      typeof value === "string" ? readList(value, place, { ...terms, files, problems }) : checkedDifferent(value.map(listedOf));
    const questions = listed.reduce((sum, one) => sum + one.questions.length, 0);
    if (questions > QUESTIONS_MOST)
      place.problem(`has ${questions} questions, each wording counted; at most ${QUESTIONS_MOST} are possible.`);
    else lists.set(name, new AnswerList(name, listed));
  }
  return { lists, files, problems };
}

/** A list that no ladder looks up is read and never asked. */
export function warnOfUnasked(answers: ConfigurationFields["answers"] = new Map(), budgets: readonly Budget[]): void {
  const asked = new Set(
    budgets.flatMap(({ ladder }) => ladder.flatMap(({ rungs }) => rungs.map((rung) => rung.kind === "lookup" && rung.list))),
  );
  for (const [name, { place }] of answers)
    if (!asked.has(name)) place.warning(`no ladder looks up "${name}". Add a rung to one, such as 0%: lookup ${name}.`);
}

interface Reading extends AnswerTerms {
  readonly files: string[];
  readonly problems: Problem[];
}

const READERS: Readonly<Record<string, (file: string, text: string, reading: Reading) => readonly Listed[]>> = {
  ".csv": readCsv,
  ".json": readYaml,
  ".yaml": readYaml,
  ".yml": readYaml,
};

function readList(name: string, place: Place, reading: Reading): readonly Listed[] {
  const read = READERS[extname(name).toLowerCase()];
  if (!read) return place.problem(`"${name}" is no file of answers. Its name ends with ${Object.keys(READERS).join(", ")}.`) ?? [];
  const path = resolve(reading.cwd, dirname(reading.file ?? ""), name);
  // It is looked at again when it changes, also where it is not there yet.
  reading.files.push(path);
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    const why = (error as NodeJS.ErrnoException).code ?? error;
    return place.problem(`${name} cannot be read (${why}). Paths are meant from the folder of this file.`) ?? [];
  }
  return read(name, text, reading);
}

/** YAML, or JSON, which is YAML too. */
function readYaml(file: string, text: string, { environment, problems }: Reading): readonly Listed[] {
  const source = openSource({ file, text: text.replace(/^\uFEFF/, ""), environment });
  const isEmpty = source.root.node === undefined && source.problems.length === 0;
  if (isEmpty) source.root.problem("is empty. Write a list of questions with their answers.");
  const entries = source.root.node === undefined ? [] : (LISTED_ANSWERS.read(source.root) ?? []);
  const listed = checkedDifferent(entries.map(listedOf));
  problems.push(...source.problems);
  return listed;
}

function listedOf({ value: { question = [], answer = "" }, place }: Located<AnswerFields>): Listed {
  const at = place.field("question");
  return { questions: question, answer, places: question.map((_, i) => at.items()?.[i] ?? at) };
}

const COLUMNS = ["question", "answer"] as const;

/** A heading that names `question` and `answer`, and a question with its answer on each line after it. */
function readCsv(file: string, text: string, { problems }: Reading): readonly Listed[] {
  const at = (line: number, path: string) => ({
    problem: (message: string): undefined => void problems.push({ file, line, column: 1, path, message }),
  });
  let wrongAt = 1;
  let records: readonly CsvRecord[];
  try {
    records = csvRecords(text, (line) => (what) => {
      wrongAt = line;
      return new PurserError("config_invalid", what);
    });
  } catch (error) {
    if (!(error instanceof PurserError)) throw error;
    return at(wrongAt, "").problem(error.message) ?? [];
  }
  const [heading, ...rows] = records;
  const names = heading?.cells.map((cell) => cell.toLowerCase()) ?? [];
  const missing = COLUMNS.filter((column) => !names.includes(column));
  for (const column of missing)
    at(heading?.line ?? 1, "").problem(
      `there is no column ${column}. The first line names the columns: question,answer.${suggestion(column, names)}`,
    );
  if (missing.length > 0) return [];
  if (rows.length > ANSWERS_MOST) return at(1, "").problem(`has ${rows.length} questions; at most ${ANSWERS_MOST} are possible.`) ?? [];
  const listed = rows.flatMap(({ line, cells }) => {
    if (cells.length !== names.length) return at(line, "").problem(`has ${cells.length} values, and the heading ${names.length}.`) ?? [];
    const [question = "", answer = ""] = COLUMNS.map((column) => cells[names.indexOf(column)]);
    if (question.trim() === "") return at(line, "question").problem("is empty. Write a value or leave the line out.") ?? [];
    if (answer.trim() === "") return at(line, "answer").problem("is empty. Write a value or leave the line out.") ?? [];
    if (answer.length > ANSWER_MOST) return at(line, "answer").problem(`is longer than ${ANSWER_MOST} characters.`) ?? [];
    return [{ questions: [question], answer, places: [at(line, "question")] }];
  });
  return checkedDifferent(listed);
}

/** A question that could not be told from another, or from nothing, would never get its answer. */
function checkedDifferent(listed: readonly Listed[]): readonly Listed[] {
  const known = new Map<string, string>();
  for (const { questions, places } of listed) {
    for (const [i, question] of questions.entries()) {
      const place = places[i];
      const plain = plainQuestion(question);
      const same = known.get(plain);
      known.set(plain, question);
      if (question.length > QUESTION_MOST)
        place?.problem(`is longer than ${QUESTION_MOST} characters, and longer questions are not looked up.`);
      else if (plain === "") place?.problem(`"${question}" has no words.`);
      else if (same !== undefined) place?.problem(`"${question}" asks the same as "${same}". Keep one of them.`);
    }
  }
  return listed;
}
