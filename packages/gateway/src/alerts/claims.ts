/** Who tells: of all that see the same threshold being passed, the first. */
export interface Claims {
  /** Whether the notice is this caller's to deliver. Asked again for the same key before `until`, the answer is no. */
  claim(key: string, until: number): Promise<boolean>;
}
