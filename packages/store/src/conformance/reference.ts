import type { Compare, Op } from '@cove/domain'

interface Item {
  readonly text: string
  readonly createRevision: number
  readonly modRevision: number
}
type Snapshot = ReadonlyMap<string, Item>

/** The port told in the plainest way: one whole snapshot for each revision. */
export class Reference {
  readonly snapshots: Snapshot[] = [new Map(), new Map()]
  compacted = 0

  get revision(): number {
    return this.snapshots.length - 1
  }

  at(revision: number): Snapshot {
    return this.snapshots[revision] ?? new Map()
  }

  txn(compare: readonly Compare[], ops: readonly Op[]): boolean {
    const now = this.at(this.revision)
    const holds = compare.every((each) => {
      const modRevision = now.get(each.key)?.modRevision ?? 0
      if ('modRevision' in each) return modRevision === each.modRevision
      return 'absent' in each ? modRevision === 0 : modRevision > 0
    })
    if (!holds) return false
    const next = new Map(now)
    const revision = this.revision + 1
    let changed = false
    for (const op of ops) {
      if (op.type === 'delete') changed = next.delete(op.key) || changed
      else {
        const text = Buffer.from(op.value).toString()
        next.set(op.key, { text, createRevision: now.get(op.key)?.createRevision ?? revision, modRevision: revision })
        changed = true
      }
    }
    if (changed) this.snapshots.push(next)
    return true
  }

  listing(prefix: string, revision: number): string[] {
    return [...this.at(revision)]
      .filter(([each]) => each.startsWith(prefix))
      .toSorted(([a], [b]) => byBytes(a, b))
      .map(([each, item]) => `${each}=${item.text}@${item.createRevision}/${item.modRevision}`)
  }

  changes(prefix: string, from: number): string[] {
    const told: string[] = []
    for (let revision = Math.max(2, from); revision <= this.revision; revision++) {
      const [before, after] = [this.at(revision - 1), this.at(revision)]
      const keys = [...new Set([...before.keys(), ...after.keys()])]
        .filter((key) => key.startsWith(prefix) && before.get(key) !== after.get(key))
        .toSorted(byBytes)
      if (keys.length === 0) continue
      const changes = keys.map((key) => {
        const item = after.get(key)
        return item === undefined ? `delete ${key}` : `put ${key}=${item.text}`
      })
      told.push(`${revision}: ${changes.join(', ')}`)
    }
    return told
  }
}

function byBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b))
}
