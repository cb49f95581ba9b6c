import { statSync } from 'node:fs'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { CliProcess } from './support/cli-process.ts'
import { runCove, TestDaemon } from './support/daemon.ts'

interface Row {
  readonly id: string
  readonly name?: string
  readonly state: string
  readonly labels: Record<string, string>
}

describe('the commands of cove', () => {
  let daemon: TestDaemon
  beforeAll(async () => {
    daemon = await TestDaemon.start()
  })
  afterAll(() => daemon[Symbol.asyncDispose]())
  afterEach(async () => {
    await daemon.cove(['rm', '--all'])
  })
  const ok = async (...args: readonly string[]): Promise<string> => {
    const { status, stdout, stderr } = await daemon.cove(args)
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    return stdout
  }
  const json = async <T>(...args: readonly string[]): Promise<T> => JSON.parse(await ok(...args, '-o', 'json')) as T

  it('create, list, show, stop, start and delete sandboxes', async () => {
    const id = (await ok('create', '--name', 'web', '--label', 'team=a', '-e', 'GREETING=hi')).trim()
    expect(id).toMatch(/^[a-z2-7]{16}$/)
    await ok('create', '--label', 'team=b', '-q')
    expect(await ok('ls')).toMatch(/^ID +NAME +STATE +TEMPLATE +ISOLATION +AGE\n(.*\n){2}$/)
    expect(await json<Row[]>('ls', '--label', 'team=a')).toMatchObject([{ id, name: 'web', state: 'running' }])
    expect(await ok('get', 'web')).toContain('labels:        team=a')
    expect(await ok('exec', 'web', 'sh', '-c', 'echo $GREETING > kept; cat kept')).toBe('hi\n')

    expect(await ok('stop', 'web')).toBe('web\n')
    expect(await ok('get', '-q', id)).toBe('stopped\n')
    expect(await ok('ls', '-q', '--state', 'stopped')).toBe(`${id}\n`)
    const inside = await daemon.cove(['exec', 'web', 'true'])
    expect(inside).toMatchObject({ status: 1, stderr: expect.stringContaining('stopped') as string })
    await ok('start', 'web')
    expect(await ok('exec', 'web', 'cat', 'kept')).toBe('hi\n')

    expect(await ok('rm', 'web')).toBe('web\n')
    const gone = await daemon.cove(['get', id])
    expect(gone.status).toBe(0)
    expect(gone.stdout).toContain('state:         deleted')
    expect((await json<Row[]>('ls', '-a')).map(({ state }) => state)).toContain('deleted')
    expect(await ok('rm', '--label', 'team=b')).toMatch(/^[a-z2-7]{16}\n$/)
    expect(await ok('ls', '-q')).toBe('')
  })

  it('print the same data as a table, as JSON and as YAML', async () => {
    const id = (await ok('create', '--name', 'shown')).trim()
    const asJson = await json<Row[]>('ls')
    expect(JSON.parse(await ok('ls', '--json'))).toEqual(asJson)
    expect(parse(await ok('ls', '-o', 'yaml'))).toEqual(asJson)
    expect(parse(await ok('get', 'shown', '-o', 'yaml'))).toEqual(asJson[0])
    expect(await ok('ls', '--no-headers')).toMatch(new RegExp(`^${id} .*\n$`))
    expect(parse(await ok('ls', '-q', '-o', 'yaml'))).toEqual([id])
    expect(parse(await ok('status', '-o', 'yaml'))).toMatchObject({ running: true, url: daemon.url })
    const both = await daemon.cove(['ls', '--json', '-o', 'yaml'])
    expect(both).toMatchObject({ status: 2, stderr: expect.stringContaining('cannot be used with') as string })
  })

  it('make one sandbox for one idempotency key', async () => {
    const first = await ok('create', '-q', '--idempotency-key', 'k1')
    expect(await ok('create', '-q', '--idempotency-key', 'k1')).toBe(first)
    const other = await daemon.cove(['create', '--idempotency-key', 'k1', '--name', 'x'])
    expect(other).toMatchObject({ status: 1, stderr: expect.stringMatching(/^error: .*\nfix: .*\n$/) as string })
  })

  it('start, show, signal and end processes', async () => {
    await ok('create', '--name', 'box')
    const id = (await ok('exec', '-d', 'box', 'sh', '-c', 'echo one; echo two >&2; sleep 60')).trim()
    expect(await ok('ps', 'box')).toMatch(new RegExp(`^ID +PID +USER +STATE +AGE +COMMAND\n${id} +\\d+ +user +running`))
    const logs = await daemon.cove(['logs', 'box'])
    expect(logs).toMatchObject({ status: 0, stdout: 'one\n', stderr: 'two\n' })
    expect(await ok('kill', 'box', id)).toBe(`${id}\n`)
    using follow = new CliProcess(['logs', '-f', 'box', id], { COVE_DATA_DIR: daemon.dataDir })
    expect(await follow.ended).toMatchObject({ status: 0, stdout: 'one\n' })
    expect(await ok('ps', 'box', '-q')).toBe('')
    expect(await ok('ps', 'box', '-a')).toContain('was killed by signal 15')
    expect((await daemon.cove(['kill', 'box', 'nope'])).stderr).toContain('error: ')
    expect((await daemon.cove(['kill', '-s', 'NOPE', 'box', id])).status).toBe(2)
  })

  it('follow output as it comes', async () => {
    await ok('create', '--name', 'box')
    const id = (await ok('exec', '-d', 'box', 'sh', '-c', 'echo first; sleep 0.5; echo second')).trim()
    using follow = new CliProcess(['logs', '-f', 'box', id], { COVE_DATA_DIR: daemon.dataDir })
    await follow.saw('first')
    expect(await follow.ended).toMatchObject({ status: 0, stdout: 'first\nsecond\n' })
  })

  it('tell of every change with --watch, until Ctrl-C', async () => {
    using watch = new CliProcess(['ls', '--watch', '-o', 'json'], { COVE_DATA_DIR: daemon.dataDir })
    using table = new CliProcess(['ls', '--watch'], { COVE_DATA_DIR: daemon.dataDir })
    await table.saw('STATE')
    const id = (await ok('create', '-q')).trim()
    await watch.saw(`"id":"${id}"`)
    await ok('rm', id)
    await watch.saw('"state":"deleted"')
    watch.kill('SIGINT')
    expect((await watch.ended).status).toBe(130)
    await table.saw(new RegExp(`${id} .*running`))
  })

  it('follow one sandbox to its end', async () => {
    await ok('create', '--name', 'box')
    using watch = new CliProcess(['get', '--watch', '-q', 'box'], { COVE_DATA_DIR: daemon.dataDir })
    await watch.saw('running')
    await ok('create', '--name', 'other')
    await ok('rm', 'box')
    expect(await watch.ended).toMatchObject({ status: 0, stdout: 'running\ndeleting\ndeleted\n' })
  })

  it('take a -- before the program, and say where options belong', async () => {
    await ok('create', '--name', 'box')
    expect(await ok('exec', 'box', '--', 'echo', '--', 'x')).toBe('-- x\n')
    const wrong = await daemon.cove(['exec', 'box', '-u', 'root', 'id'])
    expect(wrong).toMatchObject({ status: 2, stderr: expect.stringContaining('before the sandbox') as string })
  })

  it('do not mind that nobody reads their output', async () => {
    using list = new CliProcess(['ls'], { COVE_DATA_DIR: daemon.dataDir })
    list.closeOutput()
    expect(await list.ended).toMatchObject({ stderr: '' })
  })

  it('show the key only when asked to', async () => {
    expect(await ok('key')).not.toContain(daemon.apiKey)
    expect(await ok('key', 'show')).toBe(`${daemon.apiKey}\n`)
    const path = (await ok('key', 'path')).trim()
    expect(path).toBe(`${daemon.dataDir}/api-key`)
    expect(statSync(path).mode & 0o777).toBe(0o600)
  })

  it('say so when there is no such sandbox, and go on with the others', async () => {
    await ok('create', '--name', 'here')
    const { status, stdout, stderr } = await daemon.cove(['stop', 'nowhere', 'here'])
    expect({ status, stdout }).toEqual({ status: 1, stdout: 'here\n' })
    expect(stderr).toBe('error: there is no sandbox "nowhere"\nfix: List the sandboxes with `cove ls`.\n')
    expect((await daemon.cove(['rm', '-f', 'nowhere'])).status).toBe(0)
  })
})

describe('the command line of cove', () => {
  it.each([
    [['rnu', 'x'], "unknown command 'rnu'", 'Did you mean run?'],
    [['ls', '--stat'], "unknown option '--stat'", 'Did you mean --state?'],
    [['run'], "missing required argument 'program'", 'cove run --help'],
    [['run', '--timeout', 'soon', 'true'], "'soon' is invalid. It must be a time", 'cove run --help'],
    [['create', '--label', 'x'], 'NAME=value', 'cove create --help'],
    [['create', '--limit-memory', 'much'], "'much' is invalid. It must be a number of bytes", 'cove create --help'],
    [['create', '--isolation', 'wall'], 'Allowed choices are process, namespace', 'cove create --help'],
    [['ls', 'extra'], 'too many arguments', 'cove ls --help'],
    [['rm'], 'which sandboxes?', '--all'],
    [['cp', 'a', 'b'], 'one of the two must be in a sandbox', '<sandbox>:<path>'],
    [['cp', 'a', 'web:relative'], 'not absolute', 'web:/home/user/relative'],
    [['key', 'rotate'], "unknown command 'rotate'", 'cove key --help'],
  ])('answers %j with status 2, the cause and a remedy', async (args, cause, fix) => {
    const { status, stdout, stderr } = await runCove(args)
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' })
    expect(stderr).toMatch(/^error: .*\nfix: .*\n$/)
    expect(stderr).toContain(cause)
    expect(stderr).toContain(fix)
  })

  it('explains itself', async () => {
    const { status, stdout, stderr } = await runCove(['--help'])
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    const names = 'up down status doctor run create exec shell ls get rm stop start cp logs ps kill key config version'
    for (const name of names.split(' ')) expect(stdout).toMatch(new RegExp(`^  ${name} +\\S`, 'm'))
    expect(await runCove(['help', 'run'])).toEqual(await runCove(['run', '--help']))
    expect((await runCove([])).status).toBe(2)
    expect((await runCove(['version'])).stdout).toMatch(/^cove \d+\.\d+\.\d+ /)
  })

  it('says so at once when no daemon runs', async () => {
    const { status, stderr } = await runCove(['ls'], { env: { COVE_URL: 'http://127.0.0.1:9', COVE_API_KEY: 'x' } })
    expect(status).toBe(1)
    expect(stderr).toBe(
      'error: Cove does not answer at http://127.0.0.1:9\nfix: Start Cove with `cove up` (or `cove up --detach`).\n',
    )
  })
})
