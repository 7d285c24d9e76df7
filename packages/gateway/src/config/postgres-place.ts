/** Where a database is, for people: nothing of its user and password. */
export function postgresPlace(url: string): string {
  const { host, pathname } = new URL(url);
  return `${host}${pathname}`;
}
