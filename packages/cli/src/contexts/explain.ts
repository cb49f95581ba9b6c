import { CoveError, ERROR_CODES } from '@cove/domain'
import type { Io } from '../io.ts'
import type { Target } from './target.ts'

/** Says which context an error is about, and what to do there: the fix for the local daemon would lead astray. */
export function explainFor({ context, url, from }: Target, env: Io['env']): (error: CoveError) => CoveError {
  return (error) => {
    // A registry of images asks for a login of its own; no key of Cove helps there.
    if (error.code === 'unauthenticated' && error.context['registry'] !== undefined) return error
    if (error.code === 'invalid-argument') return nameOption(error)
    if (context === undefined) return explainLocal(error, from, env)
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

function explainLocal(error: CoveError, from: string | undefined, env: Io['env']): CoveError {
  if (error.code === 'daemon-not-running') return elsewhere(error, from)
  if (error.code !== 'unauthenticated') return error
  const own = 'see `cove key path` for the one of this machine, or make one with `cove key create`'
  const fix =
    (env['COVE_API_KEY'] ?? '') === ''
      ? `Set COVE_API_KEY to a key of this Cove; ${own}.`
      : `COVE_API_KEY is no key of this Cove: unset it, or set it to one that is; ${own}.`
  return new CoveError(error.code, error.message, error.context, { fix, cause: error })
}

/** The fields of a request as the user has written them. */
const OPTIONS: Readonly<Record<string, string>> = {
  'limits.memoryBytes': '--limit-memory',
  'limits.cpus': '--limit-cpus',
  'limits.processes': '--limit-processes',
  'limits.diskBytes': '--limit-disk',
  'network.allow': '--allow',
  idleTimeout: '--idle-timeout',
  lifetime: '--lifetime',
  expiresIn: '--expires-in',
  idempotencyKey: '--idempotency-key',
  name: 'the name',
  template: '--template',
  driver: '--driver',
  volumes: '--volume',
}

/** In place of a fix that only tells of the field; one that says more stays. */
function nameOption(error: CoveError): CoveError {
  const { field } = error.context
  if (error.fix !== ERROR_CODES['invalid-argument'].fix) return error
  const option = typeof field === 'string' && Object.hasOwn(OPTIONS, field) ? OPTIONS[field] : undefined
  if (option === undefined) return error
  return new CoveError(error.code, error.message, error.context, { fix: `Correct ${option}.`, cause: error })
}

/** Where an address of another machine was named, starting a Cove on this one helps nobody. */
function elsewhere(error: CoveError, from: string | undefined): CoveError {
  const { url } = error.context
  const host = typeof url === 'string' && URL.canParse(url) ? new URL(url).hostname : ''
  if (from === undefined || /^(?:localhost|127\.[\d.]+|\[::1\])$/.test(host)) return error
  const fix = `Check the address (it is from ${from}), and that Cove runs there and can be reached from here.`
  return new CoveError(error.code, error.message, error.context, { fix, cause: error })
}
