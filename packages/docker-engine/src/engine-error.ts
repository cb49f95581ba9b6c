import { CoveError, type ErrorCode } from '@cove/domain'
import type { EngineRequest } from './engine-connection.ts'

/** What a status of the engine means; its own sentence is kept. */
export function engineError(status: number, body: string, { path, method }: EngineRequest): CoveError {
  const message = sentenceOf(body) ?? `the Docker Engine answered ${status} to ${method} ${path}`
  return new CoveError(codeOf(status, message, path), `Docker: ${message}`, { status })
}

export function unreachable(error: unknown, path: string): CoveError {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  const cause = error instanceof Error ? error.message : String(error)
  if (code === 'EACCES') {
    return new CoveError(
      'permission-denied',
      'the Docker Engine may not be used by this user',
      {},
      { fix: 'Join the group `docker`, or run as root.', cause: error },
    )
  }
  return new CoveError(
    'driver-failed',
    `the Docker Engine does not answer (${cause})`,
    { path },
    { fix: 'Start it (`systemctl start docker`), or let DOCKER_HOST name another one.', cause: error },
  )
}

function codeOf(status: number, message: string, path: string): ErrorCode {
  switch (status) {
    case 400:
      return 'invalid-argument'
    case 401:
    case 403:
      return 'permission-denied'
    case 404:
      return path.startsWith('/images/') || /no such image/i.test(message) ? 'image-not-found' : 'container-not-found'
    case 409:
      return /is already in use|already exists/.test(message) ? 'already-exists' : 'wrong-state'
    default:
      if (path === '/images/create' && isMissingImage(message)) return 'image-not-found'
      return isFullDisk(message) ? 'no-space' : 'driver-failed'
  }
}

/** What registries say, by way of the engine, when they do not have an image. */
export function isMissingImage(message: string): boolean {
  return /not found|manifest unknown|repository does not exist/i.test(message)
}

export const isFullDisk = (message: string): boolean => /no space left|disk quota exceeded/i.test(message)

function sentenceOf(body: string): string | undefined {
  try {
    const value: unknown = JSON.parse(body)
    if (typeof value !== 'object' || value === null || !('message' in value)) return undefined
    return typeof value.message === 'string' ? value.message.trim() : undefined
  } catch {
    return undefined
  }
}
