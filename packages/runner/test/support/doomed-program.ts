/**
 * A program that uses the library and is killed while it does. Run as `node doomed-program.ts <state> <guest> <point>`: it
 * kills itself at a named point, or works on until somebody else does. It says `ready` when it has begun.
 */
import { setImmediate } from 'node:timers/promises'
import type { HostProcess, HostProcessSpec, Launcher } from '../../src/index.ts'
import { NativeEnvironment } from '../../src/native/native-environment.ts'
import { openRunner } from '../../src/native/open-runner.ts'
import { ownKey } from '../../src/native/own-key.ts'

/** Where it can be made to end. */
export const POINTS = [
  'opened',
  'start on its way',
  'started',
  'pipes opened',
  'running',
  'terminate on its way',
  'terminated',
  'destroy on its way',
  'destroyed',
  'leader ended',
] as const
export type Point = (typeof POINTS)[number]

/** A leader, a child, one in another session, and one there that has lost its parents. */
export const TREE =
  'sleep 1000 & setsid sleep 1000 & setsid sh -c "sleep 1000 & sleep 1000 & exit" & echo tree; sleep 1000'
/** The same when the leader is gone. */
const LEADERLESS = TREE.replace(/; sleep 1000$/, '; sleep 0.1')

function die(): never {
  process.kill(process.pid, 'SIGKILL')
  // The signal has not come yet, so it must not go on.
  for (;;);
}

async function main([state = '', guest = '', point = '']: readonly string[]): Promise<void> {
  const at = (here: Point): void => {
    if (here === point) die()
  }
  /** Lets the request leave this program. */
  const onItsWay = async (here: Point): Promise<void> => {
    if (here !== point) return
    for (let turns = Math.floor(Math.random() * 3); turns > 0; turns -= 1) await setImmediate()
    die()
  }
  const runner = await openRunner({ stateFolder: state, guestProgram: guest, idleMs: 2000 })
  at('opened')
  const wrapped = (host: HostProcess): HostProcess =>
    new Proxy(host, {
      get(target, name) {
        if (name === 'openPipes') {
          return async () => {
            const pipes = await target.openPipes()
            at('pipes opened')
            return pipes
          }
        }
        if (name === 'signal') {
          return async (...args: Parameters<HostProcess['signal']>) => {
            const sent = target.signal(...args)
            await onItsWay('terminate on its way')
            await sent
            at('terminated')
          }
        }
        const value: unknown = Reflect.get(target, name, target)
        return typeof value === 'function' ? value.bind(target) : value
      },
    })
  const launcher: Launcher = Object.assign(Object.create(runner.launcher) as Launcher, {
    async start(spec: HostProcessSpec, signal?: AbortSignal) {
      const started = runner.launcher.start(spec, signal)
      await onItsWay('start on its way')
      const host = await started
      at('started')
      return wrapped(host)
    },
    async destroy(id: string) {
      const destroyed = runner.launcher.destroy(id)
      await onItsWay('destroy on its way')
      await destroyed
      at('destroyed')
    },
    sweep: () => runner.launcher.sweep(),
  })
  const environment = new NativeEnvironment({ launcher, owner: await ownKey(), directory: '/' })
  console.log('ready')
  const lane = async (): Promise<void> => {
    for (let index = 0; ; index += 1) {
      const script = point === 'leader ended' || index % 3 === 2 ? LEADERLESS : TREE
      const proc = await environment.newProcess('/bin/sh', '-c', script)
      const lines = proc.lines()[Symbol.asyncIterator]()
      await proc.start()
      await lines.next()
      at('running')
      if (point === 'leader ended') {
        await proc.wait()
        die()
      }
      await lines.return?.()
      // Some stay, so that there is something to end at any time.
      if (index % 2 === 0) await proc.stop({ graceMs: 20 })
    }
  }
  await Promise.all([lane(), lane(), lane()])
}

if (process.argv[1] === import.meta.filename) await main(process.argv.slice(2))
