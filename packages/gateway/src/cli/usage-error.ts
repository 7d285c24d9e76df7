/** The command line does not say what is to be done. Its message says what to write instead. */
export class UsageError extends Error {}
