import { lstatSync, writeFileSync } from 'node:fs'
import { basename, join, relative, resolve } from 'node:path'
import { CoveError, parseDuration } from '@cove/domain'
import type { Command } from 'commander'
import type { Context } from '../context.ts'
import { STATUS } from '../exit-status.ts'
import type { Io } from '../io.ts'
import { PROJECT_FILE } from '../project/find-project.ts'
import type { Answers } from '../project/write-project.ts'
import type { Guess } from '../project/detect.ts'
import type { Run } from './registry.ts'

const NOTE = `
Writes cove.yaml: template, name, network, ports, timeouts, files to copy and commands for setting up. At a terminal it
asks; the answers in brackets are what the directory looks like (package.json, requirements.txt), and Enter takes them.
`

export function define(command: Command, { io }: Context, run: Run): void {
  command
    .argument('[directory]', 'where to write it (default: here)')
    .option('-y, --yes', 'ask nothing')
    .option('-f, --force', 'write over a file that is there')
    .addHelpText('after', NOTE)
    .action((directory: string | undefined) => run(() => init(command, io, here(directory))))
}

function here(directory: string | undefined): string {
  try {
    return resolve(directory ?? '.')
  } catch (cause) {
    const fix = 'Change to a directory that is there, or name one.'
    throw new CoveError('io-error', 'the current directory is gone', {}, { fix, cause })
  }
}

async function init(command: Command, io: Io, directory: string): Promise<number> {
  const { yes = false, force = false } = command.opts<{ yes?: boolean; force?: boolean }>()
  const path = join(directory, PROJECT_FILE)
  if (!force && lstatSync(path, { throwIfNoEntry: false }) !== undefined) throw isThere(path)
  const [{ guess }, { projectText }] = await Promise.all([
    import('../project/detect.ts'),
    import('../project/write-project.ts'),
  ])
  const found = guess(directory)
  const usual: Answers = { ...found, template: 'host', idle: '30m' }
  const asks = !yes && io.stdin.isTTY === true && io.stderr.isTTY === true
  const answers = asks ? await ask(usual, found, io) : usual
  if (answers === undefined) return 130
  try {
    // What came into being meanwhile is not written over either.
    writeFileSync(path, projectText(answers), { flag: force ? 'w' : 'wx' })
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'EEXIST') throw isThere(path)
    throw new CoveError(
      'io-error',
      `${path} cannot be written: ${String(cause)}`,
      { path },
      {
        fix: 'Choose a directory that is there and that you may write to.',
        cause,
      },
    )
  }
  io.stdout.write(`${relative(process.cwd(), path) || basename(path)}\n`)
  if (io.stderr.isTTY === true) {
    io.stderr.write(`Try it: cove shell, or cove create and then cove shell ${answers.name}\n`)
  }
  return STATUS.ok
}

const isThere = (path: string): CoveError =>
  new CoveError(
    'already-exists',
    `${path} is there already`,
    { path },
    {
      fix: 'Edit it, or write a new one over it with --force.',
    },
  )

/** Undefined when the user ends it with Ctrl-C or Ctrl-D. */
async function ask(usual: Answers, { because }: Guess, io: Io): Promise<Answers | undefined> {
  const { createInterface } = await import('node:readline/promises')
  const lines = createInterface({ input: io.stdin, output: io.stderr, terminal: true })
  const over = new AbortController()
  lines.once('close', () => over.abort())
  if (because.length > 0) io.stderr.write(`Found ${because.join(' and ')}.\n`)
  /** Asks until the answer can be read. */
  const question = async <Value>(text: string, fallback: string, read: (answer: string) => Value): Promise<Value> => {
    for (;;) {
      const shown = fallback === '' ? 'none' : fallback
      const answer = (await lines.question(`${text} [${shown}]: `, { signal: over.signal })).trim()
      try {
        return read(answer === '' ? fallback : answer === 'none' && fallback !== 'none' ? '' : answer)
      } catch (thrown) {
        io.stderr.write(`  ${thrown instanceof Error ? thrown.message : String(thrown)}\n`)
      }
    }
  }
  try {
    return {
      name: await question('Name', usual.name, readName),
      template: await question('Template', usual.template, (answer) => answer || usual.template),
      network: await question('Network (none or internet)', usual.network, readNetwork),
      ports: await question('Ports to bring to this machine', usual.ports.join(' '), readPorts),
      copy: await question('Files to copy in', usual.copy.join(' '), words),
      setup: await question('Commands for setting up', usual.setup.join(' && '), (answer) =>
        answer === '' ? [] : [answer],
      ),
      idle: await question('End it after so long without activity', usual.idle, readTimeout),
    }
  } catch (thrown) {
    if (!over.signal.aborted && !(thrown instanceof Error && thrown.name === 'AbortError')) throw thrown
    io.stderr.write('\nNothing was written.\n')
    return undefined
  } finally {
    lines.close()
  }
}

const words = (answer: string): string[] => answer.split(/[\s,]+/).filter((word) => word !== '')

function readName(answer: string): string {
  if (/^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/.test(answer)) return answer
  throw new Error('A name is of a to z, 0 to 9 and dash.')
}

function readNetwork(answer: string): 'none' | 'internet' {
  if (answer === '' || answer === 'none') return 'none'
  if (answer === 'internet') return 'internet'
  throw new Error('It is none or internet.')
}

function readPorts(answer: string): number[] {
  return words(answer).map((word) => {
    if (/^[1-9]\d{0,4}$/.test(word) && Number(word) <= 65_535) return Number(word)
    throw new Error('Ports are numbers from 1 to 65535.')
  })
}

function readTimeout(answer: string): string {
  if (answer !== 'never') parseDuration(answer)
  return answer
}
