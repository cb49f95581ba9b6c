import { CoveError } from '@cove/domain'
import type { Request } from './exchange.ts'

export function tooLarge(limit: number): CoveError {
  return new CoveError('payload-too-large', `a request may have at most ${limit} bytes`, { limit })
}

export interface BodyLimits {
  readonly bytes: number
  /** Milliseconds for the whole body. */
  readonly ms: number
}

export function tooSlow(ms: number): CoveError {
  return new CoveError('deadline-exceeded', `the request did not come whole within ${ms} ms`)
}

/** The whole body, refused as soon as it is too long: by its announcement, or while it comes; or when it is slow. */
export function readBody(request: Request, limits: BodyLimits): Promise<Buffer> {
  const limit = limits.bytes
  return new Promise((resolve, reject) => {
    if (Number(request.headers['content-length'] ?? 0) > limit) {
      reject(tooLarge(limit))
      return
    }
    const chunks: Buffer[] = []
    let length = 0
    const timer = setTimeout(() => {
      settle()
      reject(tooSlow(limits.ms))
    }, limits.ms)
    const settle = (): void => {
      clearTimeout(timer)
      request.off('data', take)
      request.off('end', finish)
      request.off('error', fail)
      request.off('close', fail)
    }
    const take = (chunk: Buffer): void => {
      length += chunk.length
      chunks.push(chunk)
      if (length <= limit) return
      settle()
      reject(tooLarge(limit))
    }
    const finish = (): void => {
      settle()
      const [first] = chunks
      resolve(chunks.length === 1 && first !== undefined ? first : Buffer.concat(chunks, length))
    }
    const fail = (): void => {
      settle()
      reject(new CoveError('cancelled', 'the client went away before its whole request had come'))
    }
    request.on('data', take)
    request.on('end', finish)
    request.on('error', fail)
    request.on('close', fail)
  })
}
