import { join } from 'node:path'
import type { Networks } from '@cove/network'
import { DiskStore } from '../host/disk-store.ts'
import type { LaunchedRecord } from '../host/launched-records.ts'
import { pruneHostTemplates } from '../host-template/build-template.ts'
import { BlankDisks } from './blank-disks.ts'
import { Holdings } from './holdings.ts'
import { IdRanges } from './id-ranges.ts'
import { openNetworks } from './open-networks.ts'
import type { LaunchedOptions } from './options.ts'
import { prepare, type Prepared } from './prepare.ts'
import type { Tool } from './tool.ts'

/** Disks made ahead: as many as creates come at once, for more the disk is the limit. */
const BLANKS = 8
const DEFAULT_UID_BASE = 0x1000_0000
/** Drivers that the ids are shared out to, and some to come. */
const SHARES = 6

/** What a driver works with once it is open. */
export interface Parts {
  readonly prepared: Prepared
  readonly disks: DiskStore
  readonly blanks: BlankDisks
  readonly ranges: IdRanges
  readonly holdings: Holdings
  readonly networks: Networks
}

/** Prepares everything, and learns from the records what is in use. */
export async function openParts(
  options: LaunchedOptions,
  tool: Tool,
  listRecords: () => Promise<readonly LaunchedRecord[]>,
): Promise<Parts> {
  const prepared = await prepare(options, tool)
  const disks = new DiskStore(prepared.folders.disks)
  const ranges = new IdRanges(options.uidBase ?? DEFAULT_UID_BASE, { index: tool.share, of: SHARES })
  const holdings = new Holdings(disks, ranges)
  await holdings.open()
  const records = await listRecords()
  for (const { note } of records) holdings.learn(note)
  const networks = await openNetworks(options, tool, prepared, records)
  await pruneHostTemplates(prepared.folders.templates, new Set([...holdings.templates(), prepared.template.name]))
  const folders = prepared.ids === 'range' && prepared.disks !== 'image'
  const blanks = await BlankDisks.open(join(options.stateDir, 'blanks'), folders ? BLANKS : 0)
  return { prepared, disks, blanks, ranges, holdings, networks }
}
