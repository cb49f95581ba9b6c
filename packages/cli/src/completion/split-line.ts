interface Split {
  readonly words: readonly string[]
  /** The quote that the last word is inside of; empty when it is in none. */
  readonly quote: '' | '"' | "'"
}

/** Words of a line as a shell reads it; behind a blank the last word is empty. Nothing is expanded. */
export function splitLine(line: string): Split {
  const words: string[] = ['']
  let quote: Split['quote'] = ''
  for (let index = 0; index < line.length; index++) {
    const character = line.charAt(index)
    const add = (text: string) => words.push(`${words.pop() ?? ''}${text}`)
    if (character === '\\' && quote !== "'") add(line.charAt(++index))
    else if (quote === '' && (character === '"' || character === "'")) quote = character
    else if (character === quote) quote = ''
    else if (quote === '' && /\s/.test(character)) {
      if (words.at(-1) !== '') words.push('')
    } else add(character)
  }
  return { words, quote }
}
