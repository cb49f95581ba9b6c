import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Api } from './api.ts'
import { buildTemplate } from './build-template.ts'
import { processesOf, pssMib } from './host.ts'
import { startDaemon, type Daemon } from './daemon.ts'
import { smallRoot } from './raw-container.ts'
import { rawVms, type RawVms } from './raw-vm.ts'

/** Of every virtual machine, Cove's and the bare ones. */
export const MEMORY_MIB = 256

/** A daemon whose sandboxes are virtual machines, and bare ones of the same size beside it. */
export interface VmHouse extends AsyncDisposable {
  readonly daemon: Daemon
  readonly api: Api
  readonly raw: RawVms
  /** What a sandbox is asked for with. */
  readonly request: Readonly<Record<string, unknown>>
  /** Of all that runs for its machines, in MiB. */
  pss(): Promise<number>
}

export async function openVmHouse(): Promise<VmHouse> {
  await using stack = new AsyncDisposableStack()
  const folder = await mkdtemp(join(tmpdir(), 'cove-bench-'))
  stack.defer(() => rm(folder, { recursive: true, force: true }))
  const daemon = stack.use(await startDaemon(['--drivers', 'qemu', '--driver', 'qemu']))
  const api = new Api(daemon)
  stack.defer(() => api.close())
  const template = await buildTemplate(daemon, `directory:${await smallRoot(folder)}`)
  const raw = stack.use(await rawVms(MEMORY_MIB))
  const installation = await daemon.installation()
  const owned = stack.move()
  return {
    daemon,
    api,
    raw,
    request: { template, driver: 'qemu', limits: { memoryBytes: `${MEMORY_MIB * 1024 * 1024}` } },
    async pss() {
      let sum = 0
      for (const pid of await processesOf(installation)) sum += await pssMib(pid)
      return sum
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

/** Milliseconds from the request to the first command's result, and what was made. */
export async function timedCreate(
  api: Api,
  request: Readonly<Record<string, unknown>>,
): Promise<{ readonly id: string; readonly ms: number }> {
  const start = performance.now()
  const id = await api.create(request)
  await api.run(id, ['/bin/true'])
  return { id, ms: performance.now() - start }
}
