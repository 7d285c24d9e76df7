/** Why a vocabulary cannot be counted exactly. The message is the rest of a sentence about its file. */
export class Uncountable extends Error {}
