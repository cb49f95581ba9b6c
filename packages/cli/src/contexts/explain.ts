import { CoveError } from '@cove/domain'
import type { Target } from './target.ts'

/** Says which context an error is about, and what to do there: the fix for the local daemon would lead astray. */
export function explainFor({ context, url, from }: Target): (error: CoveError) => CoveError {
  return (error) => {
    if (context === undefined) return error.code === 'daemon-not-running' ? elsewhere(error, from) : error
    const fix = fixFor(error, context)
    if (fix === undefined) return error
    return new CoveError(
      error.code,
      `${error.message} (context ${context})`,
      { ...error.context, context },
      {
        fix: url === undefined ? error.fix : fix,
        cause: error,
      },
    )
  }
}

function fixFor({ code }: CoveError, context: string): string | undefined {
  switch (code) {
    case 'daemon-not-running':
    case 'connection-lost':
      return `See with \`cove context show ${context}\` whether the address is right, or use another context: --context <name>.`
    case 'unauthenticated':
      return `Give the context a key that is good: cove context add ${context} --force --key-file <file>.`
    case 'permission-denied':
      return `Use a key that may do this: cove context add ${context} --force --key-file <file>.`
    default:
      return undefined
  }
}

/** Where an address of another machine was named, starting a Cove on this one helps nobody. */
function elsewhere(error: CoveError, from: string | undefined): CoveError {
  const { url } = error.context
  const host = typeof url === 'string' && URL.canParse(url) ? new URL(url).hostname : ''
  if (from === undefined || /^(?:localhost|127\.[\d.]+|\[::1\])$/.test(host)) return error
  const fix = `Check the address (it is from ${from}), and that Cove runs there and can be reached from here.`
  return new CoveError(error.code, error.message, error.context, { fix, cause: error })
}
