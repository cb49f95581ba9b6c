import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statfsSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { findFreePort } from '../packages/runner/src/host/ports.ts'
import { MAIN } from './support/daemon.ts'
import { lives, TestProcs } from './support/procs.ts'

/** Prints its pid and stays. */
const STAYS = ['sh', '-c', 'echo up $$; exec sleep 1000']
const pidIn = (text: string): number => Number(/up (\d+)/.exec(text)?.[1])

const gone = async (pid: number): Promise<void> => {
  const deadline = performance.now() + 10_000
  while (lives(pid)) {
    if (performance.now() > deadline) throw new Error(`${pid} lives`)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

describe('supervised processes', () => {
  let procs: TestProcs
  beforeEach(() => {
    procs = new TestProcs()
  })
  afterEach(async () => {
    await procs[Symbol.asyncDispose]()
  })

  it('outlive the shell that started them, and are stopped from another one', async () => {
    const node = `'${process.execPath}' --disable-warning=ExperimentalWarning '${MAIN}'`
    const script = `${node} proc run --name web -- sh -c 'echo up $$; exec sleep 1000'; echo started; sleep 1000`
    const shell = spawn('sh', ['-c', script], {
      detached: true,
      cwd: procs.folder,
      env: { PATH: process.env['PATH'], HOME: procs.folder, ...procs.env },
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    let said = ''
    for await (const chunk of shell.stdout) {
      said += String(chunk)
      if (said.includes('started')) break
    }
    expect(said).toBe('web\nstarted\n')
    const exited = once(shell, 'exit')
    process.kill(-(shell.pid ?? 0), 'SIGKILL')
    await exited

    const shown = await procs.get('web')
    expect(shown).toMatchObject({ name: 'web', backend: 'native', state: 'running', restarts: 0 })
    expect(pidIn(await procs.ok('logs', 'web'))).toBe(shown.pid)
    expect(lives(shown.pid ?? 0)).toBe(true)
    expect(await procs.ok('ls')).toMatch(/^NAME .*\nweb +native +running +- +\d+s +\d+ +0 +- +sh -c 'echo up/)
    expect(await procs.ok('ls', '-q')).toBe('web\n')
    expect(await procs.ok('ls', '-o', 'yaml')).toContain('- name: web\n')

    expect(await procs.ok('stop', 'web')).toBe('web\n')
    expect(lives(shown.pid ?? 0)).toBe(false)
    expect(await procs.get('web')).toMatchObject({ state: 'stopped', exit: { kind: 'signaled', signal: 15 } })
    expect(await procs.ok('stop', 'web')).toBe('web\n')
    expect(await procs.ok('restart', 'web')).toBe('web\n')
    const again = await procs.get('web')
    expect(again.state).toBe('running')
    const { status, stderr } = await procs.proc('rm', 'web')
    expect(status).toBe(1)
    expect(stderr).toContain('fix: End it with `cove proc stop web` first')
    expect(await procs.ok('rm', '-f', 'web')).toBe('web\n')
    await gone(again.pid ?? 0)
    expect(await procs.ok('ls', '--json')).toBe('[]\n')
  })

  it('end with their supervisor when that is killed, and the next look tells the truth', async () => {
    await procs.ok('run', '--name', 'web', '--restart', 'always', '--', ...STAYS)
    const { pid = 0 } = await procs.get('web')
    const [supervisor = 0] = procs.supervisors()
    process.kill(supervisor, 'SIGKILL')
    await gone(pid)
    expect(await procs.get('web')).toMatchObject({
      state: 'lost',
      exit: { kind: 'lost' },
      reason: 'its supervisor was killed, and it with that',
    })
    expect(await procs.ok('restart', 'web')).toBe('web\n')
    expect(await procs.get('web')).toMatchObject({ state: 'running' })
  })

  it('live on without the launcher, and end by the next look when the supervisor is killed too', async () => {
    await procs.ok('run', '--name', 'web', '--', ...STAYS)
    const { pid = 0 } = await procs.get('web')
    for (const launcher of procs.launchers()) process.kill(launcher, 'SIGKILL')
    expect(await procs.get('web')).toMatchObject({ state: 'running', pid })
    expect(lives(pid)).toBe(true)

    const [supervisor = 0] = procs.supervisors()
    // The supervisor would start another launcher.
    process.kill(supervisor, 'SIGSTOP')
    for (const launcher of procs.launchers()) process.kill(launcher, 'SIGKILL')
    process.kill(supervisor, 'SIGKILL')
    await gone(supervisor)
    expect(lives(pid)).toBe(true)
    expect(await procs.get('web')).toMatchObject({ state: 'lost', exit: { kind: 'lost' } })
    await gone(pid)
  })

  it('are lost, and can be started again, when the machine was started anew', async () => {
    await procs.ok('run', '--name', 'web', '--', ...STAYS)
    const { pid = 0 } = await procs.get('web')
    const { runtimeDir } = procs
    // As a restart of the machine leaves it: nothing runs, nothing is in memory, and the boot id is another one.
    for (const one of procs.supervisors()) process.kill(one, 'SIGKILL')
    for (const one of procs.launchers()) process.kill(one, 'SIGKILL')
    if (lives(pid)) process.kill(pid, 'SIGKILL')
    await gone(pid)
    rmSync(runtimeDir, { recursive: true })
    for (const file of [procs.file('web', 'state.json'), join(procs.dataDir, 'procs/runtime-dir')]) {
      const text = readFileSync(file, 'utf8').replace(/"bootId":"[^"]*"/, `"bootId":"${crypto.randomUUID()}"`)
      writeFileSync(file, text.replace(/"pid":\d+/, `"pid":${process.pid}`))
    }
    expect(await procs.get('web')).toMatchObject({ state: 'lost', reason: 'the machine was started anew' })
    expect(await procs.get('web')).not.toHaveProperty('pid')
    await procs.ok('restart', 'web')
    expect(await procs.get('web')).toMatchObject({ state: 'running' })
  })

  it('that fail are started again, later each time, until that was often enough', async () => {
    const failing = ['--', 'sh', '-c', 'echo try; echo wrong >&2; exit 7']
    await procs.ok('run', '--name', 'bad', '--detach', '--restart', 'on-failure:2', ...failing)
    const end = await procs.until('bad', ({ state }) => state === 'failed')
    expect(end).toMatchObject({ restarts: 2, exit: { kind: 'exited', code: 7 } })
    expect(end.reason).toBe('exited with code 7; given up after 2 restarts in a row')
    const { stdout, stderr } = await procs.proc('logs', 'bad')
    expect(stdout).toBe('try\ntry\ntry\n')
    expect(stderr.match(/wrong/g)).toHaveLength(3)
    expect(stderr).toContain('-- exited with code 7; starting again in 200 ms\n')
    expect(stderr).toContain('-- exited with code 7; starting again in 400 ms\n')
    const json = (await procs.ok('logs', '--json', '--tail', '3', 'bad')).trim().split('\n')
    expect(json.map((line) => (JSON.parse(line) as { stream: string }).stream).toSorted()).toEqual(
      expect.arrayContaining(['cove', 'stderr']),
    )
  })

  it('are stopped while they wait to be started again', async () => {
    await procs.ok('run', '--name', 'bad', '--detach', '--restart', 'always', '--', 'sh', '-c', 'exit 1')
    await procs.until('bad', ({ state, restarts }) => state === 'waiting' && restarts >= 3)
    await procs.ok('stop', 'bad')
    expect(await procs.get('bad')).toMatchObject({ state: 'stopped', exit: { kind: 'exited', code: 1 } })
  })

  it('that mind no TERM are killed after the grace that was asked for', async () => {
    const stubborn = ['sh', '-c', "trap '' TERM; echo up; while :; do sleep 0.1; done"]
    await procs.ok('run', '--name', 'mule', '--ready', 'log:^up$', '--grace', '1h', '--', ...stubborn)
    await procs.ok('stop', '--grace', '50ms', 'mule')
    expect(await procs.get('mule')).toMatchObject({ state: 'stopped', exit: { kind: 'signaled', signal: 9 } })
  })

  it('are whole or not there when the command that starts them is killed anywhere', async () => {
    for (let delay = 150; delay < 900; delay += 75) {
      const command = procs.begin('run', '-q', '--name', 'web', '--', ...STAYS)
      const ended = command.ended.catch(() => undefined)
      await new Promise((resolve) => setTimeout(resolve, delay))
      command.kill('SIGKILL')
      await ended
      const isThere = (await procs.ok('ls', '-q')) === 'web\n'
      const shown = isThere ? await procs.until('web', ({ state }) => state !== 'starting') : undefined
      // Nothing had begun, or all goes on.
      expect({ delay, runs: shown?.state === 'running' }).toEqual({ delay, runs: lives(shown?.pid ?? 0) })
      await procs.ok('rm', '-f', '--all')
      expect(procs.supervisors()).toEqual([])
    }
  })

  it('are ended also when their supervisor does not answer', async () => {
    await procs.ok('run', '-q', '--name', 'web', '--', ...STAYS)
    const { pid = 0 } = await procs.get('web')
    for (const supervisor of procs.supervisors()) process.kill(supervisor, 'SIGSTOP')
    await procs.ok('stop', '--grace', '0s', 'web')
    expect(procs.supervisors()).toEqual([])
    await gone(pid)
    expect(await procs.get('web')).toMatchObject({ state: 'lost', exit: { kind: 'lost' } })
  })

  it('are waited for until they are ready', async () => {
    const port = await findFreePort()
    const serve = `setTimeout(() => require('http').createServer((q, a) => a.end('hi')).listen(${port}), 300)`
    const begun = await procs.proc('run', '--ready', `http://127.0.0.1:${port}/`, '--', process.execPath, '-e', serve)
    expect(begun).toMatchObject({ status: 0, stdout: 'node\n' })
    expect(begun.stderr).toMatch(/node: native: .*not docker: no image is given/)
    expect(begun.stderr).toMatch(/node: ready after \d+\.\d s, pid \d+\n$/)
    expect(await (await fetch(`http://127.0.0.1:${port}/`)).text()).toBe('hi')
    expect(await procs.get('node')).toMatchObject({ state: 'running', ready: true })

    const taken = await procs.proc('run', '--ready', String(port), '--', 'sleep', '1000')
    expect(taken.status).toBe(1)
    expect(taken.stderr).toContain(`something else answers on port ${port} already`)
    const second = await procs.proc(
      'run',
      '-q',
      '--ready',
      'command:test -e here',
      '--',
      'sh',
      '-c',
      'touch here; sleep 99',
    )
    expect(second).toEqual({ status: 0, stdout: 'sh\n', stderr: '' })
  })

  it('that do not become ready are said to have failed, and how', async () => {
    const late = await procs.proc('run', '--ready', 'log:never', '--ready-timeout', '300ms', '--', ...STAYS)
    expect(late).toMatchObject({ status: 124, stdout: '' })
    expect(late.stderr).toContain('error: sh: was not ready within 0.3 s: waited for a line with /never/')
    expect(late.stderr).toContain('fix: Read what it said with `cove proc logs sh`.')
    await gone(pidIn(late.stderr))
    const early = await procs.proc('run', '--ready', '1', '--', 'sh', '-c', 'echo no config >&2; exit 3')
    expect(early.status).toBe(1)
    expect(early.stderr).toContain('no config\nerror: sh exited with code 3 before it was ready')
    const missing = await procs.proc('run', '--restart', 'always', '--', 'no-such-program')
    expect(missing.status).toBe(127)
    expect(missing.stderr).toContain('there is no program no-such-program')
    expect(await procs.proc('run', '--', 'true')).toMatchObject({ status: 0 })
  })

  it('have names of which only one runs', async () => {
    const many = await Promise.all(
      Array.from({ length: 4 }, () => procs.proc('run', '-q', '--name', 'one', '--', ...STAYS)),
    )
    const lost = many.filter(({ status }) => status !== 0)
    expect(lost).toHaveLength(3)
    for (const { status, stderr } of lost) {
      expect(status).toBe(1)
      expect(stderr).toMatch(/error: one is (starting|running) already\nfix: End it with `cove proc stop one`/)
    }
    expect(procs.supervisors()).toHaveLength(1)
    const unnamed = await Promise.all([
      procs.ok('run', '-q', '--', 'sleep', '1000'),
      procs.ok('run', '-q', '--', 'sleep', '1000'),
    ])
    expect(unnamed.toSorted()).toEqual(['sleep\n', 'sleep-2\n'])
    await procs.ok('stop', 'one')
    await procs.ok('run', '--name', 'one', '--', 'sleep', '1000')
    expect(await procs.ok('stop', '--all')).toMatch(/^(one|sleep|sleep-2)\n/)
  })

  it('tell their output while it comes, over restarts and turns of its files', async () => {
    const chatty = `n=$(cat n 2>/dev/null || echo 0); echo $((n + 1)) > n
      i=0; while [ $i -lt 400 ]; do echo "run $n line $i of some length to fill the log"; i=$((i + 1)); done
      test -e enough && exit 0; sleep 0.2; exit 1`
    await procs.ok(
      'run',
      '--name',
      'log',
      '-d',
      '--restart',
      'on-failure',
      '--log-size',
      '64KiB',
      '--',
      'sh',
      '-c',
      chatty,
    )
    using follow = procs.begin('logs', '-f', 'log')
    await follow.saw('run 3 line 399')
    writeFileSync(join(procs.folder, 'enough'), '')
    const { status, stdout, stderr } = await follow.ended
    expect(status).toBe(0)
    expect(stderr).not.toContain('warning')
    const seen = stdout
      .trim()
      .split('\n')
      .map((line) => line.split(' ').slice(1, 4).join(' '))
    const first = Number(seen[0]?.split(' ')[0]) * 400 + Number(seen[0]?.split(' ')[2])
    seen.forEach((line, at) => expect(line).toBe(`${Math.floor((first + at) / 400)} line ${(first + at) % 400}`))
    expect(seen.at(-1)).toMatch(/line 399$/)
    const kept = statSync(procs.file('log', 'log')).size + statSync(procs.file('log', 'log.1')).size
    expect(kept).toBeLessThan(64 * 1024 + 1)
    expect(await procs.ok('logs', '-n', '2', 'log')).toMatch(/^run \d+ line 398 .*\nrun|^run \d+ line 399/)
  })

  it('get what they are told, and nobody else can read it', async () => {
    writeFileSync(join(procs.folder, 'vars'), '# mine\nONE=from file\nTWO="a b"\n')
    mkdirSync(join(procs.folder, 'sub'))
    const show = ['sh', '-c', 'echo "$ONE|$TWO|$THREE|$HOST|$COVE_DATA_DIR|$PWD"']
    const args = ['--env-file', 'vars', '-e', 'ONE=flag', '-e', 'THREE=secret-3', '-w', 'sub', '--', ...show]
    const child = procs.begin('run', '--name', 'env', ...args)
    using _child = child
    expect(await child.ended).toMatchObject({ status: 0 })
    await procs.until('env', ({ state }) => state === 'exited')
    const { stdout } = await procs.proc('logs', 'env')
    expect(stdout).toBe(`flag|a b|secret-3||${procs.dataDir}|${procs.folder}/sub\n`)
    for (const file of ['spec.json', 'state.json', 'log']) {
      expect(statSync(procs.file('env', file)).mode & 0o777).toBe(0o600)
    }
    expect(statSync(procs.file('env', '.')).mode & 0o777).toBe(0o700)
    expect(await procs.ok('get', 'env', '--json')).not.toContain('secret-3')
    const records = join(procs.runtimeDir, 'records')
    for (const name of readdirSync(records).filter((one) => one.endsWith('.record'))) {
      expect(readFileSync(join(records, name), 'utf8')).not.toMatch(/secret-3|ONE/)
    }
  })

  it.skipIf(process.getuid?.() !== 0)(
    'run on, and can be stopped, on a disk that their output has filled',
    async () => {
      mkdirSync(procs.dataDir)
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=256k', 'none', procs.dataDir])
      try {
        const fill = 'i=0; while [ $i -lt 9000 ]; do i=$((i+1)); echo "line $i is one of very many"; done; touch full'
        const ready = ['--ready', 'command:test -e full', '--log-size', '4MiB']
        await procs.ok('run', '--name', 'big', ...ready, '--', 'sh', '-c', `${fill}; exec sleep 1000`)
        const disk = statfsSync(procs.dataDir)
        expect(disk.bavail * disk.bsize).toBeLessThan(8192)
        expect(await procs.get('big')).toMatchObject({ state: 'running', ready: true })
        await procs.ok('stop', 'big')
        expect(await procs.get('big')).toMatchObject({ state: 'stopped', exit: { kind: 'signaled', signal: 15 } })
        await procs.ok('rm', 'big')
      } finally {
        await procs.proc('rm', '--all', '--force')
        execFileSync('umount', [procs.dataDir])
      }
    },
  )

  it('leave nothing when the last one is removed', async () => {
    await procs.ok('run', '-q', '--', 'sleep', '1000')
    const { runtimeDir } = procs
    const [launcher = 0] = procs.launchers()
    await procs.ok('rm', '-af')
    await gone(launcher)
    expect(existsSync(runtimeDir)).toBe(false)
    expect(readdirSync(join(procs.dataDir, 'procs'))).toEqual(['lock'])
  })

  it('whose files hold nonsense do not hide the others, and can be removed', async () => {
    await procs.ok('run', '-q', '--name', 'good', '--', 'sleep', '1000')
    await procs.ok('run', '-q', '--name', 'bad', '--', ...STAYS)
    const { pid = 0 } = await procs.get('bad')
    writeFileSync(procs.file('bad', 'spec.json'), '{"version":2}')
    const { status, stdout, stderr } = await procs.proc('ls', '-q')
    expect({ status, stdout }).toEqual({ status: 0, stdout: 'good\n' })
    expect(stderr).toContain('does not hold what Cove wrote there')
    await procs.ok('rm', '-f', 'bad')
    await gone(pid)
    // As a command leaves it that is killed before it has said what is to run.
    mkdirSync(procs.file('half', '.'))
    expect(await procs.ok('ls', '-q')).toBe('good\n')
    await procs.ok('rm', '-f', 'half')
    await procs.ok('run', '-q', '--name', 'half', '--', 'true')
  })
})

describe('command lines about supervised processes that make no sense are refused', () => {
  let procs: TestProcs
  beforeAll(() => {
    procs = new TestProcs()
  })
  afterAll(async () => {
    await procs[Symbol.asyncDispose]()
  })

  it.each([
    [['run'], 2, "missing required argument 'program'"],
    [['run', '--restart', 'never', '--', 'x'], 2, 'It must be no, on-failure'],
    [['run', '--ready', 'soon', '--', 'x'], 2, 'It must be a port, an address'],
    [['run', '--name', 'A b', '--', 'x'], 1, 'cannot name a process'],
    [['run', '--backend', 'docker', '--', 'x'], 2, 'a container needs an image'],
    [['run', '--backend', 'native', '--image', 'i', '--', 'x'], 2, 'mean nothing to native'],
    [['run', '-p', '80', '--', 'x'], 2, 'are for containers'],
    [['run', '-d', '-p', '0:80', '--image', 'i', '--', 'x'], 2, '<host port>:<container port>'],
    [['get', 'nobody'], 1, 'there is no supervised process nobody'],
    [['logs', 'nobody'], 1, 'cove proc ls'],
    [['stop', 'nobody'], 1, 'there is no supervised process nobody'],
    [['stop'], 2, 'no process is named'],
    [['rm', '../x'], 1, 'cannot name a process'],
  ])('%j', async (args, status, text) => {
    const ended = await procs.proc(...args)
    expect(ended).toMatchObject({ status, stdout: '' })
    expect(ended.stderr).toContain(text)
    expect(ended.stderr).toContain('fix: ')
  })
})
