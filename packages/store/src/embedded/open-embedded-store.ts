import path from 'node:path'
import { Worker } from 'node:worker_threads'
import { CoveError, silentLog, type Clock, type Log, type Random, type Store } from '@cove/domain'
import { systemRandom } from '@cove/domain/system'
import { DEFAULT_HISTORY, type HistoryLimit } from '../history-limit.ts'
import { EmbeddedStore } from './embedded-store.ts'
import type { Opened, WorkerOptions } from './messages.ts'

export interface EmbeddedStoreOptions {
  /**
   * The file; it is made when it is missing, its directory is not. Its lock is held until `close`: nothing else in
   * this process may open it meanwhile, for a process that closes a file loses all its locks on it.
   */
  readonly path: string
  readonly clock: Clock
  /** Where names of leases come from. */
  readonly random?: Random
  readonly log?: Log
  /**
   * What an answered transaction survives: `process` (default) the end of this process, however it comes; `power`
   * also the end of the machine, at the price of one flush to disk for each group of transactions.
   */
  readonly durability?: 'process' | 'power'
  /** How much history is kept for watches and pinned reads. Default: 100,000 revisions and 64 MiB. */
  readonly historyLimit?: HistoryLimit
}

/**
 * Opens the store in its one file, in a thread of its own. Fails with `store-locked` when another instance has it,
 * `store-corrupt` when it is damaged and `store-too-new` when a later Cove wrote it; the file is then untouched.
 */
export async function openEmbeddedStore(options: EmbeddedStoreOptions): Promise<Store> {
  const workerData: WorkerOptions = {
    path: path.resolve(options.path),
    durability: options.durability ?? 'process',
    historyLimit: options.historyLimit ?? DEFAULT_HISTORY,
  }
  // Source and build differ in the extension only.
  const source = import.meta.url.endsWith('.ts') ? './worker.ts' : './worker.js'
  const worker = new Worker(new URL(source, import.meta.url), {
    workerData,
    name: 'cove-store',
    // Node still calls its SQLite experimental, at every start.
    execArgv: ['--disable-warning=ExperimentalWarning'],
  })
  const opened = await firstMessage(worker)
  if (opened.type === 'refused') {
    await worker.terminate()
    const { code, message, context, fix } = opened.problem
    throw new CoveError(code, message, context, fix === undefined ? {} : { fix })
  }
  const log = options.log ?? silentLog
  if (opened.migratedFrom !== undefined) {
    log.info('the store was brought up to date', { path: workerData.path, from: opened.migratedFrom })
  }
  return new EmbeddedStore({ worker, opened, clock: options.clock, random: options.random ?? systemRandom, log })
}

function firstMessage(worker: Worker): Promise<Opened> {
  return new Promise((resolve, reject) => {
    const fail = (cause: unknown) => reject(new CoveError('io-error', 'the store worker did not start', {}, { cause }))
    worker.once('error', fail)
    worker.once('exit', fail)
    worker.once('message', (message: Opened) => {
      worker.off('error', fail)
      worker.off('exit', fail)
      resolve(message)
    })
  })
}
