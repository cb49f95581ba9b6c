import type { Candidate } from './complete.ts'
import { splitLine } from './split-line.ts'

/** How one shell asks, and what it wants to be told. */
export interface Shell {
  /** The words behind the program's name, the last of them as far as it is typed. */
  readonly words: (args: readonly string[]) => readonly string[]
  readonly answer: (candidates: readonly Candidate[], args: readonly string[]) => string
  readonly script: string
}

const ABOUT_MAX = 80

/** Bash tells its whole line, since it cuts words at `:` and `=`; what is before the last cut is not repeated. */
const bash: Shell = {
  words: ([, line = '']) => splitLine(line).words.slice(1),
  answer: (candidates, [breaks = '', line = '']) => {
    const { words, quote } = splitLine(line)
    if (quote !== '') return insideQuotes(candidates, quote)
    const typed = words.at(-1) ?? ''
    const cut = Math.max(...breaks.split('').map((character) => typed.lastIndexOf(character))) + 1
    return candidates
      .map(({ value, open }) => {
        return `${value.slice(cut).replace(/[^\w@%+=:,./~-]/gu, '\\$&')}${open === true ? '' : ' '}\n`
      })
      .join('')
  },
  script: `_cove() {
  local line program=\${COMP_WORDS[0]/#\\~/$HOME}
  COMPREPLY=()
  while IFS= read -r line; do
    COMPREPLY+=("$line")
  done < <("$program" __complete bash "$COMP_WORDBREAKS" "\${COMP_LINE:0:COMP_POINT}" 2>/dev/null)
}
complete -o nospace -F _cove cove
`,
}

/** Bash takes them as they are and closes the quotes itself: what would end them, or run, is left out. */
function insideQuotes(candidates: readonly Candidate[], quote: '"' | "'"): string {
  const obeyed = quote === '"' ? /["$`\\!]/ : /'/
  return candidates.map(({ value }) => (obeyed.test(value) ? '' : `${value}\n`)).join('')
}

const zsh: Shell = {
  words: (args) => args,
  answer: (candidates) =>
    candidates
      .map(({ value, about, open }) => {
        const text = aboutText(about)
        const described = `${value.replace(/[\\:]/g, '\\$&')}${text === '' ? '' : `:${text}`}`
        return `${open === true ? 'open' : 'word'}\t${described}\n`
      })
      .join(''),
  script: `#compdef cove
_cove() {
  local line
  local -a whole open
  while IFS= read -r line; do
    case $line in
      open$'\\t'*) open+=("\${line#*$'\\t'}") ;;
      word$'\\t'*) whole+=("\${line#*$'\\t'}") ;;
    esac
  done < <("\${(Q)words[1]/#\\~/$HOME}" __complete zsh "\${(@Q)words[2,CURRENT-1]}" "\${(Q)PREFIX}" 2>/dev/null)
  (( \${#whole} )) && _describe -V -t cove-names cove whole
  (( \${#open} )) && _describe -V -t cove-open cove open -S ''
  (( \${#whole} + \${#open} ))
}
if [[ \${funcstack[1]} == _cove ]]; then
  _cove "$@"
else
  compdef _cove cove
fi
`,
}

/** Fish puts no blank behind `/`, `:` and `=` by itself. */
const fish: Shell = {
  words: (args) => args,
  answer: (candidates) =>
    candidates
      .map(({ value, about }) => `${value}${aboutText(about) === '' ? '' : `\t${aboutText(about)}`}\n`)
      .join(''),
  script: `function __cove_complete
    set -l words (commandline -opc)
    $words[1] __complete fish $words[2..-1] (commandline -ct | string collect --allow-empty) 2>/dev/null
end
complete --command cove --no-files --keep-order --arguments '(__cove_complete)'
`,
}

/**
 * PowerShell drops empty words on their way to a program, so that the last one begins with a mark. It types what it is
 * given as it is.
 */
const powershell: Shell = {
  words: (args) => [...args.slice(0, -1), (args.at(-1) ?? '').replace(/^=/, '')],
  answer: (candidates) =>
    candidates.map(({ value, about }) => `${powershellWord(value)}\t${aboutText(about) || value}\n`).join(''),
  script: `Register-ArgumentCompleter -Native -CommandName cove -ScriptBlock {
  param($wordToComplete, $commandAst, $cursorPosition)
  $program = $commandAst.CommandElements[0].Extent.Text
  $words = @($commandAst.CommandElements | Select-Object -Skip 1 |
    Where-Object { $_.Extent.EndOffset -lt $cursorPosition } | ForEach-Object { $_.Extent.Text })
  & $program __complete powershell @words "=$wordToComplete" 2>$null | ForEach-Object {
    $value, $about = $_.Split([char]9)
    [System.Management.Automation.CompletionResult]::new($value, $value, 'ParameterValue', $about)
  }
}
`,
}

export const SHELLS = { bash, zsh, fish, powershell } as const satisfies Record<string, Shell>
export type ShellName = keyof typeof SHELLS
export const SHELL_NAMES = Object.keys(SHELLS) as readonly ShellName[]

export const isShell = (name: string): name is ShellName => Object.hasOwn(SHELLS, name)

/** In quotes where a bare word would be cut or run; to PowerShell typographic quotes are quotes too. */
function powershellWord(value: string): string {
  if (/^[\w.:/=+~-]+$/.test(value)) return value
  return `'${value.replace(/['\u2018-\u201B]/g, '$&$&')}'`
}

/** One line without anything that a terminal obeys. */
function aboutText(about = ''): string {
  // eslint-disable-next-line no-control-regex -- these characters are the point
  const plain = about.replace(/[\u0000-\u001F\u007F-\u009F]+/g, ' ').trim()
  return plain.length > ABOUT_MAX ? `${plain.slice(0, ABOUT_MAX - 1)}…` : plain
}
