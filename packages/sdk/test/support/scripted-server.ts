import type { HttpRequest, HttpResponse, HttpSend } from '../../src/wire/http.ts'

/** What one exchange is answered with. */
export interface Answer {
  readonly status?: number
  readonly headers?: Readonly<Record<string, string>>
  /** Told part by part; an error in their place breaks the connection there. */
  readonly body?: readonly (Uint8Array | Error)[]
  /** The connection stays silent at the end of the body. */
  readonly hang?: boolean
}

/** A server that answers from a list and writes down what it was asked. */
export class ScriptedServer {
  readonly requests: HttpRequest[] = []
  readonly #answers: (Answer | Error | ((request: HttpRequest) => Answer | Error))[]

  constructor(...answers: (Answer | Error | ((request: HttpRequest) => Answer | Error))[]) {
    this.#answers = answers
  }

  readonly send: HttpSend = async (request) => {
    this.requests.push(request)
    const next = this.#answers.shift()
    if (next === undefined) throw new Error(`nothing is left to answer ${request.method} ${request.path} with`)
    const answer = typeof next === 'function' ? next(request) : next
    if (answer instanceof Error) throw answer
    return respond(answer, request.signal)
  }
}

function respond(answer: Answer, signal: AbortSignal | undefined): HttpResponse {
  const body = async function* () {
    for (const part of answer.body ?? []) {
      if (part instanceof Error) throw part
      yield part
    }
    if (answer.hang === true) {
      await new Promise((_resolve, reject) => {
        signal?.addEventListener('abort', () => reject(signal.reason as Error), { once: true })
      })
    }
  }
  return {
    status: answer.status ?? 200,
    header: (name) => answer.headers?.[name],
    body: body(),
    bytes: async () => {
      const parts: Uint8Array[] = []
      for await (const part of body()) parts.push(part)
      return Buffer.concat(parts)
    },
  }
}
