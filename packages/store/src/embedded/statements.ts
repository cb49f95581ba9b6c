import type { DatabaseSync } from 'node:sqlite'

export type Statements = ReturnType<typeof statements>

/** Everything that is asked of the file while it is open, prepared once; rows come as lists. */
export function statements(db: DatabaseSync) {
  const prepare = (sql: string) => {
    const statement = db.prepare(sql)
    statement.setReturnArrays(true)
    return statement
  }
  const size = 'length(key) + ifnull(length(prev_value), 0)'
  const inRange = 'key >= $from AND key < $end'
  return {
    begin: prepare('BEGIN IMMEDIATE'),
    commit: prepare('COMMIT'),
    rollback: prepare('ROLLBACK'),
    meta: prepare('SELECT name, value FROM meta'),
    setMeta: prepare('UPDATE meta SET value = ? WHERE name = ?'),
    get: prepare('SELECT value, create_rev, mod_rev, lease FROM kv WHERE key = ?'),
    modRevision: prepare('SELECT mod_rev FROM kv WHERE key = ?'),
    range: prepare(
      `SELECT key, value, create_rev, mod_rev, lease FROM kv
       WHERE key >= ?1 AND key < ?2 ORDER BY key`,
    ),
    // As of an older revision: what has not changed since, and what the first change since has found.
    rangeAt: prepare(
      `SELECT key, value, create_rev, mod_rev, lease FROM kv WHERE ${inRange} AND mod_rev <= $rev
       UNION ALL
       SELECT key, prev_value, prev_create, prev_mod, prev_lease FROM log
       WHERE ${inRange} AND rev > $rev AND prev_mod <= $rev
       ORDER BY key`,
    ),
    put: prepare(
      `INSERT INTO kv (key, value, create_rev, mod_rev, lease) VALUES (?1, ?2, ?3, ?3, ?4)
       ON CONFLICT (key) DO UPDATE SET value = excluded.value, mod_rev = excluded.mod_rev, lease = excluded.lease
       RETURNING create_rev`,
    ),
    delete: prepare('DELETE FROM kv WHERE key = ? RETURNING create_rev'),
    logPut: prepare(
      `INSERT INTO log SELECT (?1 << 24) + ?3, ?1, ?2, 1, value, create_rev, mod_rev, lease FROM (SELECT 1) LEFT JOIN kv ON key = ?2
       RETURNING ${size}`,
    ),
    logDelete: prepare(
      `INSERT INTO log SELECT (?1 << 24) + ?3, ?1, ?2, 0, value, create_rev, mod_rev, lease FROM kv WHERE key = ?2 RETURNING ${size}`,
    ),
    changes: prepare(
      `SELECT rev, key, put FROM log
       WHERE id >= $from << 24 AND id < $last << 24 AND key >= $prefix AND key < $end ORDER BY id`,
    ),
    nextChange: prepare(
      'SELECT prev_value, prev_create, prev_mod, prev_lease FROM log WHERE key = ? AND rev > ? ORDER BY rev LIMIT 1',
    ),
    oldest: prepare(`SELECT rev, ${size} FROM log ORDER BY id`),
    sizeUntil: prepare(`SELECT ifnull(sum(${size}), 0) FROM log WHERE id < (? + 1) << 24`),
    forget: prepare('DELETE FROM log WHERE id < (? + 1) << 24'),
    leases: prepare('SELECT id, ttl_ms FROM leases'),
    lease: prepare('SELECT 1 FROM leases WHERE id = ?'),
    leased: prepare('SELECT key FROM kv WHERE lease = ? ORDER BY key'),
    grant: prepare('INSERT INTO leases (id, ttl_ms) VALUES (?, ?)'),
    revoke: prepare('DELETE FROM leases WHERE id = ?'),
  }
}
