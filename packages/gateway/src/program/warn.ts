/** Tells whoever runs a program, where it has not said how: on its standard error, as Node.js tells warnings. */
export function warn(notice: string): void {
  process.emitWarning(notice, "PurserWarning");
}
