import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { MAIN, runCove } from './support/daemon.ts'
import { openFakeHouse, type FakeHouse } from './support/fake-house.ts'
import { ShellTerminal } from './support/shell-terminal.ts'

const PROMPT = 'ready> '

/** How each shell is started so that nothing of its user is read, and what a user types once to have completion. */
const SHELLS = {
  bash: { command: 'bash --norc --noprofile -i', setUp: `PS1='${PROMPT}'; source <(cove completion bash)` },
  zsh: {
    command: 'zsh -f -i',
    setUp: `PS1='${PROMPT}'; autoload -Uz compinit; compinit -u -D; source <(cove completion zsh)`,
  },
  fish: {
    command: 'fish --no-config -i',
    setUp: `function fish_prompt; echo -n '${PROMPT}'; end; cove completion fish | source`,
  },
  'zsh, where it was installed': {
    command: 'zsh -f -i',
    setUp: `PS1='${PROMPT}'; mkdir -p fpath; cove completion zsh > fpath/_cove; fpath=($PWD/fpath $fpath); autoload -Uz compinit; compinit -u -D`,
  },
  'fish, where it was installed': {
    command: 'fish -i',
    setUp: `function fish_prompt; echo -n '${PROMPT}'; end; mkdir -p config/fish/completions; cove completion fish > config/fish/completions/cove.fish`,
  },
} as const

/** Files as a sandbox could have them; each begins in its own way. */
const rude = ['dollar$(touch ran)', 'tick`touch ran`', 'double"; touch ran; "', "single'; touch ran; '"]

const isThere = (program: string): boolean => spawnSync('which', [program]).status === 0

describe('cove completion', () => {
  let house: FakeHouse
  let folder: string
  let env: NodeJS.ProcessEnv
  beforeAll(async () => {
    house = await openFakeHouse()
    const cove = house.client()
    for (const name of ['workbench', 'other']) (await cove.sandboxes.create({ name })).keep()
    folder = mkdtempSync(join(tmpdir(), 'cove-test-'))
    mkdirSync(join(folder, 'bin'))
    const start = `#!/bin/sh\nexec '${process.execPath}' --disable-warning=ExperimentalWarning '${MAIN}' "$@"\n`
    writeFileSync(join(folder, 'bin/cove'), start, { mode: 0o755 })
    mkdirSync(join(folder, 'some-folder'))
    for (const name of rude) writeFileSync(join(folder, name), '')
    env = {
      PATH: `${folder}/bin:${process.env['PATH'] ?? ''}`,
      HOME: folder,
      XDG_CONFIG_HOME: join(folder, 'config'),
      XDG_DATA_HOME: join(folder, 'data'),
      COVE_URL: house.url,
      COVE_API_KEY: house.apiKey,
    }
  })
  afterAll(async () => {
    await house[Symbol.asyncDispose]()
    rmSync(folder, { recursive: true, force: true })
  })

  describe.each(Object.entries(SHELLS))('in %s', (_shell, { command, setUp }) => {
    const [program = ''] = command.split(' ')
    const missing = !isThere(program)
    if (missing) process.stderr.write(`skipped: ${program} is not installed (tooling/ci/test-tools.sh)\n`)
    const open = async (): Promise<ShellTerminal> => {
      const terminal = new ShellTerminal(command, env, folder)
      // A shell that reads its input before its prompt would take the Tab as a blank.
      terminal.type(`${setUp}; echo set''up\n`)
      await terminal.sees(/setup[\s\S]*ready> /)
      return terminal
    }

    it.skipIf(missing)('completes what is being typed, so that it can be run', async () => {
      await using terminal = await open()
      await terminal.completes('cove cont', 'context')
      await terminal.completes('l', 's')
      terminal.type('-q\n')
      expect(await terminal.sees(/\nlocal\n[\s\S]*ready> /)).not.toContain('error')
    })

    it.skipIf(missing)('knows the sandboxes that are there', async () => {
      await using terminal = await open()
      await terminal.completes('cove get workb', 'workbench')
      terminal.type('-q\n')
      expect(await terminal.sees(/\nrunning\n[\s\S]*ready> /)).not.toContain('error')
    })

    it.skipIf(missing)('knows values of options, and paths on both sides', async () => {
      await using terminal = await open()
      await terminal.completes('cove create --isolation mic', 'microvm')
      // Nothing but the path is typed behind what the shell has made of `some-f` and `workb`.
      terminal.type('\u0015')
      await terminal.completes('cove cp some-f', 'some-folder/')
      await terminal.completes('. workb', 'workbench:')
      terminal.type('relative\n')
      expect(await terminal.sees('workbench:/home/user/relative')).toContain('is not absolute')
    })
  })

  it.each(['"', "'"])('types no name of a file into bash that leaves the quote %s and is run', async (quote) => {
    const { command, setUp } = SHELLS.bash
    await using terminal = new ShellTerminal(command, env, folder)
    terminal.type(`${setUp}; echo set''up\n`)
    await terminal.sees(/setup[\s\S]*ready> /)
    for (const name of rude.map((text) => text.slice(0, 4))) {
      // Home, a command that does nothing, End: what Tab has made of the line is expanded and not more.
      terminal.type(`cove cp ${quote}${name}\t\u0001: \u0005\n`)
      const seen = await terminal.sees(/\n(?:ready)?> $/)
      if (!seen.endsWith(PROMPT)) terminal.type(`${quote}\n`)
      await terminal.sees(/ready> $/)
      expect(existsSync(join(folder, 'ran')), name).toBe(false)
    }
  })

  it('gives PowerShell its names in the form it reads', async () => {
    const { stdout } = await runCove(['__complete', 'powershell', 'get', '=workb'], { env })
    expect(stdout).toMatch(/^workbench\trunning, host, [a-z2-7]{16}\n$/)
    expect((await runCove(['__complete', 'powershell', '='], { env })).stdout).toContain('create\tcreate a sandbox\n')
  })

  const noPowerShell = !isThere('pwsh')
  if (noPowerShell)
    process.stderr.write('skipped: PowerShell (pwsh) is not installed, and Debian has no package of it\n')
  it.skipIf(noPowerShell)('has a script that PowerShell can read', async () => {
    const { stdout: script } = await runCove(['completion', 'powershell'])
    const check = `$errors = $null; [void][System.Management.Automation.Language.Parser]::ParseInput($input, [ref]$null, [ref]$errors); exit $errors.Count`
    expect(spawnSync('pwsh', ['-NoProfile', '-Command', check], { input: script }).status).toBe(0)
  })

  it.each([
    ['there is no Cove', ['get', ''], { COVE_URL: 'http://127.0.0.1:9' }],
    ['the key is wrong', ['get', ''], { COVE_API_KEY: 'cove_wrong' }],
    ['the contexts cannot be read', ['get', ''], { COVE_URL: '', XDG_CONFIG_HOME: '/proc/self/mem' }],
    ['the command is none', ['nonsense', ''], {}],
    ['an option is none', ['get', '--nonsense=x', ''], { COVE_URL: 'http://127.0.0.1:9' }],
    ['the sandbox is none', ['ps', 'nowhere', ''], {}],
  ])('says nothing when %s', async (_what, words, more) => {
    const ended = await runCove(['__complete', 'fish', ...words], { env: { ...env, ...more } })
    expect(ended).toMatchObject({ status: 0, stderr: '' })
  })

  const complete = async (port: number): Promise<number> => {
    const begun = performance.now()
    const ended = await runCove(['__complete', 'fish', 'get', ''], {
      env: { ...env, COVE_URL: `http://127.0.0.1:${port}` },
    })
    expect(ended).toEqual({ status: 0, stdout: '', stderr: '' })
    return performance.now() - begun
  }

  it('does not wait for a Cove that does not answer', async () => {
    const { createServer } = await import('node:net')
    const silent = createServer(() => {}).listen(0, '127.0.0.1')
    await new Promise((resolve) => silent.once('listening', resolve))
    const address = silent.address()
    const port = (typeof address === 'object' ? address?.port : undefined) ?? 0
    const waited = await complete(port)
    silent.close()
    // Against one that is refused at once: this machine may be busy.
    expect(waited - (await complete(port))).toBeLessThan(2000)
  })

  it('explains how to install it, and refuses shells it does not know', async () => {
    expect((await runCove(['completion', '--help'])).stdout).toContain('~/.config/fish/completions/cove.fish')
    const wrong = await runCove(['completion', 'tcsh'])
    expect(wrong).toMatchObject({ status: 2, stderr: expect.stringContaining('bash, zsh, fish, powershell') as string })
  })
})
