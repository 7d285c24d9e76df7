/**
 * Keys of callers, of whose secrets only hashes are kept. A revoked key stays, so that it is known that there was one. `key_change` counts the
 * changes: whoever reads the same number again need not read the keys again.
 */
export const KEYS = `
  CREATE TABLE purser.key (
    id text COLLATE "C" PRIMARY KEY,
    secret_sha256 text COLLATE "C" NOT NULL UNIQUE,
    created_at bigint NOT NULL,
    expires_at bigint,
    revoked_at bigint,
    body json NOT NULL
  );
  CREATE TABLE purser.key_change (one boolean PRIMARY KEY DEFAULT true CHECK (one), number bigint NOT NULL);
  INSERT INTO purser.key_change (number) VALUES (0);
`;
