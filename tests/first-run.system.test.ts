import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { MAIN, runCove } from './support/daemon.ts'
import { readTranscript, steady } from './support/transcript.ts'

const page = readFileSync(join(import.meta.dirname, '../docs/first-run.md'), 'utf8')

/** The local port that the page forwards to; here it is one that is free. */
const PORT = '28000'
const MARK = '=== the end of'

/** One shell for the whole page, as its reader has it; answers with what each command has printed. */
async function runAll(commands: readonly string[], folder: string): Promise<string[]> {
  const start = `#!/bin/sh\nexec '${process.execPath}' --disable-warning=ExperimentalWarning '${MAIN}' "$@"\n`
  mkdirSync(join(folder, 'bin'))
  mkdirSync(join(folder, 'home'))
  writeFileSync(join(folder, 'bin/cove'), start, { mode: 0o755 })
  const clean = Object.entries(process.env).filter(([name]) => !name.startsWith('COVE_'))
  const script = commands.map((command, index) => `${command}\necho '${MARK} ${index}'`)
  writeFileSync(join(folder, 'script'), `exec 2>&1\n${script.join('\n')}\n`)
  const shell = spawn('bash', [join(folder, 'script')], {
    cwd: join(folder, 'home'),
    env: {
      ...Object.fromEntries(clean),
      // As on a machine where nothing stronger is installed.
      COVE_DRIVERS: 'bubblewrap',
      PATH: `${folder}/bin:${process.env['PATH'] ?? ''}`,
      XDG_CONFIG_HOME: join(folder, 'home/.config'),
      COVE_DATA_DIR: join(folder, 'data'),
      COVE_LISTEN: '127.0.0.1:0',
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let output = ''
  shell.stdout.on('data', (chunk: Buffer) => (output += chunk.toString('utf8')))
  await once(shell, 'close')
  return output.split(new RegExp(`${MARK} \\d+\\n`)).slice(0, -1)
}

async function freePort(): Promise<string> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  return String(typeof address === 'object' ? address?.port : 0)
}

it('the page of the first run says what really happens', { timeout: 180_000 }, async () => {
  const folder = mkdtempSync(join(tmpdir(), 'cove-test-'))
  try {
    const told = readTranscript(page)
    const port = await freePort()
    const printed = await runAll(
      told.map(({ command }) => command.replaceAll(PORT, port)),
      folder,
    )
    const really = told.map(({ command }, index) => `$ ${command}\n${steady(printed[index] ?? 'it was never run')}`)
    expect(really).toEqual(told.map(({ command, output }) => `$ ${command}\n${steady(output)}`))
  } finally {
    await runCove(['down', '--all'], { env: { COVE_DATA_DIR: join(folder, 'data') } })
    rmSync(folder, { recursive: true, force: true })
  }
})
