import { readFileSync, statSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { isSubjectPath, PurserError } from "@purser/core";
import { writeDurably } from "../durable-file.ts";
import { locked } from "../file-lock.ts";
import { isPasswordHash } from "./password.ts";
import { nameProblem, PERSON_ROLES, type StoredPerson } from "./person.ts";

const PEOPLE_FILE = "people.json";
const FRESH_MS = 100;

export interface PeopleOptions {
  /** The people of `purser.yaml`, who win over those of the same name in the folder. */
  readonly configured?: () => readonly StoredPerson[];
  /** Told when the file was changed into something that is no list of people. Those who were known stay. */
  readonly onError?: (error: unknown) => void;
}

/** The people who sign in with a password: those of the configuration, and those in `people.json` of a data folder. */
export class People {
  readonly #directory: string;
  readonly #configured: () => readonly StoredPerson[];
  readonly #onError: (error: unknown) => void;
  #stamp = "";
  #lookedAt = Number.NEGATIVE_INFINITY;
  #stored: readonly StoredPerson[] = [];

  constructor(directory: string, { configured = () => [], onError = () => undefined }: PeopleOptions = {}) {
    this.#directory = directory;
    this.#configured = configured;
    this.#onError = onError;
  }

  /** Whether nobody has a password here. Asked with every call while there is no key, so a look at the folder stays good for a moment. */
  get isEmpty(): boolean {
    if (performance.now() - this.#lookedAt >= FRESH_MS) this.#look();
    return this.#stored.length === 0 && this.#configured().length === 0;
  }

  find(name: string): StoredPerson | undefined {
    return this.list().find((person) => person.name === name);
  }

  list(): readonly StoredPerson[] {
    this.#look();
    const configured = this.#configured();
    return [...configured, ...this.#stored.filter(({ name }) => configured.every((one) => one.name !== name))];
  }

  /** Adds a person, or puts them in the place of the one with that name. Resolves when it is on disk. */
  put(person: StoredPerson): Promise<void> {
    return this.#change((others) => [...others.filter(({ name }) => name !== person.name), person]);
  }

  /** Puts a hash in the place of another one; not where somebody else has done so meanwhile. */
  async replacePassword({ name, password }: StoredPerson, next: string): Promise<StoredPerson | undefined> {
    let changed: StoredPerson | undefined;
    await this.#change((stored) =>
      stored.map((person) => {
        if (person.name !== name || person.password !== password) return person;
        changed = { ...person, password: next };
        return changed;
      }),
    );
    return changed;
  }

  /** Whether there was such a person in the folder. */
  async remove(name: string): Promise<boolean> {
    let found = false;
    await this.#change((stored) => {
      found = stored.some((person) => person.name === name);
      return stored.filter((person) => person.name !== name);
    });
    return found;
  }

  async #change(change: (stored: readonly StoredPerson[]) => readonly StoredPerson[]): Promise<void> {
    await mkdir(this.#directory, { recursive: true, mode: 0o700 });
    await locked(join(this.#directory, `${PEOPLE_FILE}.lock`), "the people", async () => {
      const people = change(readPeople(this.#directory));
      await writeDurably(this.#directory, PEOPLE_FILE, Buffer.from(`${JSON.stringify({ version: 1, people }, null, 2)}\n`));
    });
  }

  #look(): void {
    this.#lookedAt = performance.now();
    const stats = statSync(join(this.#directory, PEOPLE_FILE), { throwIfNoEntry: false });
    const stamp = stats ? `${stats.ino} ${stats.size} ${stats.mtimeMs}` : "";
    if (stamp === this.#stamp) return;
    this.#stamp = stamp;
    try {
      this.#stored = readPeople(this.#directory);
    } catch (error) {
      this.#onError(error);
    }
  }
}

function readPeople(directory: string): readonly StoredPerson[] {
  const file = join(directory, PEOPLE_FILE);
  try {
    const { version, people } = JSON.parse(readFileSync(file, "utf8")) as { readonly version: unknown; readonly people: unknown };
    if (version !== 1 || !Array.isArray(people) || !people.every(isStoredPerson)) throw new Error("it has another form");
    return people;
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw new PurserError(
      "config_invalid",
      `${file} is not a list of people: ${(cause as Error).message}. Bring back a copy, or delete it and make them anew.`,
      { cause },
    );
  }
}

function isStoredPerson(value: unknown): value is StoredPerson {
  const person = value as Partial<StoredPerson> | null;
  return (
    typeof person?.name === "string" &&
    nameProblem(person.name) === undefined &&
    PERSON_ROLES.some((role) => role === person.role) &&
    typeof person.password === "string" &&
    isPasswordHash(person.password) &&
    typeof person.attributes === "object" &&
    person.attributes !== null &&
    Object.entries(person.attributes).every(([path, text]) => isSubjectPath(path) && typeof text === "string" && !text.includes("*"))
  );
}
