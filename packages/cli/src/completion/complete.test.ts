import { describe, expect, it } from 'vitest'
import { describeCommandLine } from '../describe.ts'
import { COMMANDS } from '../commands/registry.ts'
import { complete, type LiveNames, type Place } from './complete.ts'
import { SHELLS } from './shells.ts'

const program = await describeCommandLine()

const rudeNames: LiveNames = async () =>
  ['good', 'g\nword\tevil', 'g\u001B[2J', 'g\u009B2J'].map((value) => ({ value }))

/** What is asked for, and for which place. */
async function ask(...words: readonly string[]) {
  const asked: { kind: string; place: Place }[] = []
  const live: LiveNames = async (kind, place) => {
    asked.push({ kind, place })
    return [{ value: `<${kind}>` }, { value: 'web' }]
  }
  const candidates = await complete(program, words, live)
  return { values: candidates.map(({ value }) => value), kinds: asked.map(({ kind }) => kind), places: asked }
}

describe('what may stand where something is typed', () => {
  it('is every command at first, but those that are not for people', async () => {
    const shown = COMMANDS.filter(({ hidden }) => hidden !== true).map(({ name }) => name)
    expect((await ask('')).values.toSorted()).toEqual([...shown, 'help'].toSorted())
    expect((await ask('co')).values).toEqual(['config', 'context', 'completion'])
  })

  it.each([
    [
      ['key', ''],
      ['create', 'ls', 'revoke', 'whoami', 'show', 'path'],
    ],
    [
      ['key', 'create', '--role', ''],
      ['viewer', 'member', 'admin'],
    ],
    [['ls', '-o', 'y'], ['yaml']],
    [
      ['proc', ''],
      ['run', 'ls', 'get', 'logs', 'stop', 'restart', 'rm', 'help'],
    ],
    [['proc', 'stop', 'we'], ['web']],
    [['ls', '--output=y'], ['--output=yaml']],
    [['create', '--network', 'in'], ['internet']],
    [
      ['ls', '--state', 'running', 'pau'],
      ['pausing', 'paused'],
    ],
    [['completion', 'f'], ['fish']],
    [['help', 'au'], ['audit']],
    [['--context', 'web', 'ls', '--no'], ['--no-headers']],
    [['ls', '--nonsense', '-o', 'j'], ['json']],
    [['version', ''], []],
  ])('is, behind %j, %j', async (words, values) => {
    expect((await ask(...words)).values).toEqual(values)
  })

  it.each([
    [['get', ''], ['sandbox']],
    [['get', 'web', ''], ['sandbox']],
    [['ps', 'web', ''], []],
    [['logs', 'web', ''], ['process']],
    [['kill', '-s', 'INT', 'web', ''], ['process']],
    [['kill', '-s', ''], ['signal']],
    [['run', ''], ['program']],
    [['run', 'python', '-'], []],
    [['exec', 'web', ''], ['program']],
    [['exec', 'web', 'ls', '--'], []],
    [['cp', 'x', ''], ['place']],
    [['ports', 'share', 'web', ''], ['port']],
    [['forward', 'web', '1', ''], ['port']],
    [['key', 'revoke', ''], ['key']],
    [['--context', ''], ['context']],
    [['ls', '--context', ''], ['context']],
    [['ls', '--project=', ''], []],
    [['ls', '--project='], ['project']],
    [['create', '--template', ''], ['template']],
    [['context', 'add', 'x', '--key-file', ''], ['file']],
    [['up', '--data-dir', ''], ['file']],
  ])('is, behind %j, names of %j', async (words, kinds) => {
    expect((await ask(...words)).kinds).toEqual(kinds)
  })

  it('leaves out names that would be several lines, or that a terminal obeys', async () => {
    expect(await complete(program, ['get', 'g'], rudeNames)).toEqual([{ value: 'good' }])
  })

  it('knows what was written before: options once, and where to ask', async () => {
    const { values } = await ask('create', '--name', 'x', '--label', 'a=b', '--')
    expect(values).not.toContain('--name')
    expect(values).toEqual(expect.arrayContaining(['--label', '--context', '--help']))
    const { places } = await ask('--context', 'lab', 'logs', 'web', '')
    expect(places[0]?.place).toMatchObject({ operands: ['web'], options: { context: 'lab' }, typed: '' })
  })
})

describe('bash', () => {
  const breaks = ' \t\n"\'@><=;|&(:'
  const answer = (line: string, ...values: string[]): string =>
    SHELLS.bash.answer(
      values.map((value) => ({ value, open: value.endsWith(':') })),
      [breaks, line],
    )

  it('is told only what is behind the last place where it cuts words', () => {
    expect(answer('cove get w', 'web')).toBe('web \n')
    expect(answer('cove cp web:/ho', 'web:/home')).toBe('/home \n')
    expect(answer('cove ls --output=y', '--output=yaml')).toBe('yaml \n')
    expect(answer('cove cp w', 'web:')).toBe('web:\n')
  })

  it('is given names that it reads as one word', () => {
    expect(answer('cove cp a', 'a b$c')).toBe('a\\ b\\$c \n')
    expect(answer('cove cp s', 'smile\u{1f600}')).toBe('smile\\\u{1f600} \n')
    expect(answer('cove cp "a', 'a b')).toBe('a b\n')
  })

  it('types no name into quotes that would leave them', () => {
    const names = ['a b', 'a$(x)', 'a`x`', 'a"; x; "', "a'; x; '", 'a!x', 'a\\']
    expect(answer('cove cp "a', ...names)).toBe("a b\na'; x; '\n")
    expect(answer("cove cp 'a", ...names)).toBe('a b\na$(x)\na`x`\na"; x; "\na!x\na\\\n')
  })
})

it('types no name into PowerShell that it would run', () => {
  const names = ['web:/tmp/a', 'a b', '$(x)', "a'; x; '", 'a\u2019; x']
  const answer = SHELLS.powershell.answer(
    names.map((value) => ({ value })),
    [],
  )
  const words = answer.split('\n').map((line) => line.split('\t')[0])
  expect(words).toEqual(['web:/tmp/a', "'a b'", "'$(x)'", "'a''; x; '''", "'a\u2019\u2019; x'", ''])
})

it('shows no shell anything that a terminal obeys', () => {
  const evil = [{ value: 'x', about: 'a\u001B[31mb\tc\nd' }]
  expect(SHELLS.fish.answer(evil, [])).toBe('x\ta [31mb c d\n')
  expect(SHELLS.zsh.answer(evil, [])).toBe('word\tx:a [31mb c d\n')
  expect(SHELLS.powershell.answer(evil, [])).toBe('x\ta [31mb c d\n')
})
