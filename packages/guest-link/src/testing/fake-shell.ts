import type { Program, ProgramContext } from './fake-process.ts'

const SIGNALS: Readonly<Record<string, number>> = { INT: 2, KILL: 9, TERM: 15 }

/**
 * `sh -c SCRIPT`, as much of it as tests need: commands separated by `;` or a line feed, `&&`, quotes, `$NAME`, `$$`,
 * `>&2`, `> FILE`, a background `&` that is let go, and `exit`, `kill`, `trap '' NAME`, `read NAME`.
 */
export async function runScript(context: ProgramContext, programs: Readonly<Record<string, Program>>): Promise<number> {
  const script = context.argv[1] === '-c' ? context.argv[2] : undefined
  if (script === undefined) throw new Error('sh: only -c SCRIPT')
  const variables: Record<string, string> = { ...context.env, $: String(context.pid) }
  let status = 0
  for (const { words, after } of split(script, variables)) {
    if (context.killed.aborted) return status
    if (words.length === 0 || (after === '&&' && status !== 0)) continue
    if (words[0] === 'exit') return Number(words[1] ?? status)
    status = await runCommand(context, programs, words, variables)
  }
  return status
}

async function runCommand(
  context: ProgramContext,
  programs: Readonly<Record<string, Program>>,
  words: string[],
  variables: Record<string, string>,
): Promise<number> {
  const background = words.at(-1) === '&'
  if (background) words.pop()
  const errors = words.at(-1) === '>&2'
  if (errors) words.pop()
  const file = words.at(-2) === '>' ? words.splice(-2)[1] : undefined
  switch (words[0]) {
    case 'kill':
      context.raise(SIGNALS[(words[1] ?? '').slice(1)] ?? Number((words[1] ?? '').slice(1)))
      return 0
    case 'trap':
      for (const name of words.slice(2)) context.ignore(SIGNALS[name] ?? Number(name))
      return 0
    case 'read': {
      const line = await context.read()
      variables[words[1] ?? ''] = (line ?? Buffer.alloc(0)).toString().replace(/\r?\n$/, '')
      return line === undefined ? 1 : 0
    }
    default:
  }
  const program = programs[(words[0] ?? '').replace(/^.*\//, '')]
  if (program === undefined) {
    await context.write('stderr', `sh: ${words[0]}: not found\n`)
    return 127
  }
  const captured: Uint8Array[] = []
  const running = program({
    ...context,
    argv: words,
    write: (to, bytes) => {
      if (file === undefined) return context.write(errors ? 'stderr' : to, bytes)
      captured.push(Buffer.from(bytes))
      return Promise.resolve()
    },
  })
  if (background) {
    running.catch(() => {})
    return 0
  }
  const status = await running
  if (file !== undefined) {
    const path = file.startsWith('/') ? file : `${context.cwd}/${file}`
    context.files.write(Buffer.from(path).toString('latin1'), Buffer.concat(captured), context.user)
  }
  return status
}

/** Commands with what stands before them, one by one, so that variables have the values they have by then. */
function* split(script: string, variables: Record<string, string>): Generator<{ words: string[]; after: string }> {
  const tokens = script.match(/'[^']*'|"[^"]*"|&&|>&2|[;&\n>]|[^\s;&>'"]+|[ \t]+/g) ?? []
  let words: string[] = []
  let word: string | undefined
  let after = ';'
  const endWord = (): void => {
    if (word !== undefined) words.push(word)
    word = undefined
  }
  for (const token of [...tokens, ';']) {
    if (/^[ \t]+$/.test(token)) endWord()
    else if (token === ';' || token === '\n' || token === '&&' || token === '&') {
      endWord()
      if (token === '&') words.push('&')
      yield { words, after }
      words = []
      after = token
    } else if (token === '>' || token === '>&2') {
      endWord()
      words.push(token)
    } else if (token.startsWith("'")) word = (word ?? '') + token.slice(1, -1)
    else {
      const text = token.startsWith('"') ? token.slice(1, -1) : token
      word = (word ?? '') + text.replaceAll(/\$(\$|\w+)/g, (_match, name: string) => variables[name] ?? '')
    }
  }
}
