import type { DatabaseSync } from 'node:sqlite'

/** Marks the file as Cove's: "Cove" in ASCII. */
export const APPLICATION_ID = 0x436f7665

/**
 * Each step leads from the version that is its index to the next; the newest version is their count. A step that
 * was released never changes.
 *
 * The log keeps what was *before* each change (`prev_*`, null for a key that was not there). What a key was at a
 * revision is then what the first later change found, or what it is now, so that forgetting history is deleting
 * its oldest rows, and no value is stored twice.
 */
const MIGRATIONS: readonly string[] = [
  `CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
   INSERT INTO meta VALUES ('revision', 1), ('compacted', 0);
   CREATE TABLE kv (
     key BLOB PRIMARY KEY, value BLOB NOT NULL, create_rev INTEGER NOT NULL, mod_rev INTEGER NOT NULL, lease TEXT
   ) STRICT, WITHOUT ROWID;
   CREATE INDEX kv_lease ON kv (lease) WHERE lease IS NOT NULL;
   CREATE TABLE log (
     rev INTEGER NOT NULL, key BLOB NOT NULL, put INTEGER NOT NULL,
     prev_value BLOB, prev_create INTEGER, prev_mod INTEGER, prev_lease TEXT,
     PRIMARY KEY (rev, key)
   ) STRICT, WITHOUT ROWID;
   CREATE INDEX log_key ON log (key, rev);
   CREATE TABLE leases (id TEXT PRIMARY KEY, ttl_ms INTEGER NOT NULL) STRICT, WITHOUT ROWID;`,
  // The size of history is known without reading it, so that it can be bounded.
  `INSERT INTO meta SELECT 'history_bytes', ifnull(sum(length(key) + ifnull(length(prev_value), 0)), 0) FROM log;`,
  // Rows of a table without a rowid that are larger than a quarter of a page take a page of their own; records are
  // often that large. The log's id is its revision and, in the lowest 24 bits, the place in it.
  `CREATE TABLE new_kv (
     key BLOB NOT NULL UNIQUE, value BLOB NOT NULL, create_rev INTEGER NOT NULL, mod_rev INTEGER NOT NULL, lease TEXT
   ) STRICT;
   INSERT INTO new_kv SELECT key, value, create_rev, mod_rev, lease FROM kv ORDER BY key;
   DROP TABLE kv;
   ALTER TABLE new_kv RENAME TO kv;
   CREATE INDEX kv_lease ON kv (lease) WHERE lease IS NOT NULL;
   CREATE TABLE new_log (
     id INTEGER PRIMARY KEY, rev INTEGER NOT NULL, key BLOB NOT NULL, put INTEGER NOT NULL,
     prev_value BLOB, prev_create INTEGER, prev_mod INTEGER, prev_lease TEXT
   ) STRICT;
   INSERT INTO new_log
     SELECT (rev << 24) + row_number() OVER (PARTITION BY rev ORDER BY key) - 1,
       rev, key, put, prev_value, prev_create, prev_mod, prev_lease
     FROM log ORDER BY rev, key;
   DROP TABLE log;
   ALTER TABLE new_log RENAME TO log;
   CREATE INDEX log_key ON log (key, rev);`,
]

export const SCHEMA_VERSION = MIGRATIONS.length

/** Takes a database from `from` to the newest version, or to `to`, in one transaction. */
export function migrate(db: DatabaseSync, from: number, to = SCHEMA_VERSION): void {
  db.exec('BEGIN EXCLUSIVE')
  try {
    for (const step of MIGRATIONS.slice(from, to)) db.exec(step)
    db.exec(`PRAGMA application_id = ${APPLICATION_ID}; PRAGMA user_version = ${to}`)
    db.exec('COMMIT')
  } catch (error) {
    if (db.isTransaction) db.exec('ROLLBACK')
    throw error
  }
}

/** Reads a pragma that answers with one whole number. */
export function numberPragma(db: DatabaseSync, name: 'application_id' | 'user_version' | 'page_size'): number {
  const value = db.prepare(`PRAGMA ${name}`).get()?.[name]
  return typeof value === 'number' ? value : 0
}
