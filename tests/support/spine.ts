import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { keepsDisks, type Driver, type KeepsDisks, type Log, type Store } from '@cove/domain'
import { systemClock, systemRandom } from '@cove/domain/system'
import { createBubblewrapDriver } from '@cove/drivers'
import { openGuestLink, type GuestLink } from '@cove/guest-link'
import { openNodeWith, type CoveNode } from '@cove/node'
import { openLauncher, type Launcher } from '@cove/runner'
import { openEmbeddedStore } from '@cove/store'

/** Called before everything that the daemon does outside of itself, and after what goes on beside other things. */
export type Step = (name: string) => Promise<void>

/** The real pieces from launcher to node, in one folder: what runs machines, without server and doors. */
export interface Spine extends AsyncDisposable {
  readonly node: CoveNode
  readonly launcher: Launcher
  readonly driver: Driver & KeepsDisks
  readonly store: Store
}

const BUILT = join(import.meta.dirname, '../../build/cove-guest')

export async function openSpine(
  folder: string,
  installation: string,
  options: { readonly step?: Step; readonly log?: Log } = {},
): Promise<Spine> {
  const step = options.step ?? (async () => {})
  const log = options.log === undefined ? {} : { log: options.log }
  await using undo = new AsyncDisposableStack()
  mkdirSync(join(folder, 'run'), { recursive: true, mode: 0o700 })
  // A copy: a build in the middle of a test would bring a second launcher, of the new version.
  const guestProgram = join(folder, 'cove-guest')
  if (!existsSync(guestProgram)) copyFileSync(BUILT, guestProgram)
  const store = undo.use(await openEmbeddedStore({ path: join(folder, 'node.db'), clock: systemClock, ...log }))
  const launcher = undo.use(await openLauncher({ binary: guestProgram, stateDir: join(folder, 'run/l'), installation }))
  const driver = createBubblewrapDriver({
    launcher: stepping(launcher, 'launcher', ['start', 'destroy'], step),
    guestProgram,
    stateDir: join(folder, 'run'),
    installation,
    ...log,
  })
  undo.defer(() => driver.close())
  const openLink = async (...args: Parameters<typeof openGuestLink>): Promise<GuestLink> => {
    await step('hello')
    const link = await openGuestLink(...args)
    return stepping(link, 'guest', ['configure', 'shutdown', 'start', 'writeFile'], step)
  }
  const stepped = stepping(driver, 'driver', ['create', 'destroy', 'removeDisk'], step)
  if (!keepsDisks(stepped)) throw new Error('the driver keeps no disks')
  const node = await openNodeWith(openLink, {
    name: 'spine',
    drivers: [stepped],
    store: stepping(store, 'store', ['txn'], step),
    clock: systemClock,
    random: systemRandom,
    ...log,
  })
  undo.use(node)
  const owned = undo.move()
  return { node, launcher, driver, store, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

/** The same object, with a step before each of these methods; after one as well where others go on meanwhile. */
function stepping<T extends object>(inner: T, what: string, methods: readonly (keyof T & string)[], step: Step): T {
  const wrapped = new Set<PropertyKey>(methods)
  return new Proxy(inner, {
    get(target, key) {
      const value: unknown = Reflect.get(target, key, target)
      if (typeof value !== 'function') return value
      if (!wrapped.has(key)) return value.bind(target)
      return async (...args: readonly unknown[]): Promise<unknown> => {
        if (isProbe(args[0])) return Reflect.apply(value, target, args)
        await step(`${what}.${String(key)}`)
        const result: unknown = await Reflect.apply(value, target, args)
        if (key === 'txn') await step(`${what}.${key} is answered`)
        return result
      }
    },
  })
}

/** Finding out about the network goes on beside everything else, so that its steps have no place in an order. */
function isProbe(argument: unknown): boolean {
  const id = typeof argument === 'object' && argument !== null && 'id' in argument ? argument.id : argument
  return id === 'network-probe'
}

/** Pids of the launchers of this folder. */
export function launcherPids(folder: string): readonly number[] {
  return pidsWith((pid) => {
    const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8')
    return command.includes('launcher') && command.includes(join(folder, 'run/l'))
  })
}

/** Pids of everything that lives in a control group of this installation; what has ended waits for the host's init. */
export function machinePids(installation: string): readonly number[] {
  return pidsWith((pid) => {
    const ended = /^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
    return !ended && readFileSync(`/proc/${pid}/cgroup`, 'utf8').includes(installation)
  })
}

function pidsWith(test: (pid: string) => boolean): readonly number[] {
  const pids: number[] = []
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue
    try {
      if (test(name)) pids.push(Number(name))
    } catch {
      // It ended while it was looked at.
    }
  }
  return pids
}
