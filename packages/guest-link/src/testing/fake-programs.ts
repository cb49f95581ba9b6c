import { setImmediate as nextTurn } from 'node:timers/promises'
import { runScript } from './fake-shell.ts'
import type { Program } from './fake-process.ts'

const BLOCK = 65_536

/** The programs that every fake guest has, by name. */
export const FAKE_PROGRAMS: Readonly<Record<string, Program>> = {
  true: () => Promise.resolve(0),
  false: () => Promise.resolve(1),
  echo: async ({ argv, write }) => {
    const plain = argv[1] === '-n'
    await write('stdout', argv.slice(plain ? 2 : 1).join(' ') + (plain ? '' : '\n'))
    return 0
  },
  printf: async ({ argv, write }) => {
    await write('stdout', (argv[1] ?? '').replaceAll('\\n', '\n'))
    return 0
  },
  pwd: async ({ cwd, write }) => {
    await write('stdout', `${cwd}\n`)
    return 0
  },
  id: async ({ user, write }) => {
    await write('stdout', `${user.uid}\n`)
    return 0
  },
  env: async ({ env, write }) => {
    for (const [name, value] of Object.entries(env)) await write('stdout', `${name}=${value}\n`)
    return 0
  },
  cat: async ({ argv, cwd, files, read, user, write }) => {
    for (const path of argv.slice(1)) {
      const absolute = path.startsWith('/') ? path : `${cwd}/${path}`
      await write('stdout', files.read(Buffer.from(absolute).toString('latin1'), user).content)
    }
    if (argv.length > 1) return 0
    for (;;) {
      const bytes = await read()
      if (bytes === undefined) return 0
      await write('stdout', bytes)
    }
  },
  sleep: async ({ argv, clock, killed }) => {
    const seconds = argv[1] === 'infinity' ? 2 ** 31 : Number(argv[1])
    if (!Number.isFinite(seconds) || seconds < 0) throw new Error('sleep: a number of seconds is needed')
    // A killed process does not wake up to be told.
    await clock.sleep(Math.min(seconds * 1000, 2 ** 31 - 1), killed).catch(() => {})
    return 0
  },
  yes: async ({ argv, killed, write }) => {
    const block = Buffer.from(`${argv[1] ?? 'y'}\n`.repeat(8192))
    while (!killed.aborted) {
      await write('stdout', block)
      await nextTurn()
    }
    return 0
  },
  /** `head -c N /dev/zero` */
  head: async ({ argv, killed, write }) => {
    if (argv[1] !== '-c' || argv[3] !== '/dev/zero') throw new Error('head: only -c N /dev/zero')
    let left = Number(argv[2])
    const block = Buffer.alloc(BLOCK)
    while (left > 0 && !killed.aborted) {
      await write('stdout', block.subarray(0, Math.min(left, BLOCK)))
      left -= BLOCK
      await nextTurn()
    }
    return 0
  },
  stty: async ({ terminalSize, write }) => {
    const size = terminalSize()
    if (size === undefined) throw new Error('stty: not a terminal')
    await write('stdout', `${size.rows} ${size.columns}\n`)
    return 0
  },
  sh: (context) => runScript(context, FAKE_PROGRAMS),
}
