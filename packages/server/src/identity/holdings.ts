import type { Store } from '@cove/domain'
import { poolRecords } from '../pools/pool-record.ts'
import { snapshotRecords } from '../snapshots/snapshot-book.ts'
import { TemplateBook } from '../templates/template-book.ts'
import { VolumeBook } from '../volumes/volume-book.ts'

/** What a project has beside sandboxes, in words for people; undefined when it has nothing of it. */
export async function holdingsOf(store: Store, project: string): Promise<string | undefined> {
  const templates = new TemplateBook(store)
  // Builds before templates: what ends in between is seen as one or as the other.
  const builds = (await templates.builds()).filter((build) => build.project === project && build.state === 'building')
  const counts: readonly (readonly [number, string])[] = [
    [builds.length, 'build under way'],
    [(await templates.list(project)).length, 'template'],
    [(await snapshotRecords(store).list(project)).length, 'snapshot'],
    [(await new VolumeBook(store).records.list(project)).length, 'volume'],
    [(await poolRecords(store).all(`${project}/`)).entries.length, 'pool'],
  ]
  const held = counts.filter(([count]) => count > 0)
  if (held.length === 0) return undefined
  return held.map(([count, what]) => `${count} ${count === 1 ? what : plural(what)}`).join(', ')
}

/** The records of builds that have ended: nobody can ask for them once the project is gone. */
export async function forgetBuilds(store: Store, project: string): Promise<void> {
  const templates = new TemplateBook(store)
  for (const { id, ...build } of await templates.builds()) {
    if (build.project === project) await templates.removeBuild(id)
  }
}

const plural = (what: string): string => what.replace(/^\w+/, '$&s')
