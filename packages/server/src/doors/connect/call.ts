import type { DescMessage, DescService, MessageInitShape, MessageShape } from '@bufbuild/protobuf'
import type { Principal } from '../../auth/principal.ts'

/** What a method knows about its caller. */
export interface Call {
  readonly caller: Principal
  readonly requestId: string
  /** Address of the caller. */
  readonly from: string
  /** The host, with its port, under which the caller has reached this server. */
  readonly host?: string | undefined
  /** Aborts when the client goes away, its deadline passes, its key ends, or the server closes. */
  readonly signal: AbortSignal
  /** To be called when what was asked for has happened, by methods whose answer takes longer: it is written down then. */
  readonly happened?: () => void
}

/** The methods of one service, free of any protocol. */
export type Methods<Service extends DescService> = {
  readonly [Name in keyof Service['method']]: Service['method'][Name] extends {
    readonly methodKind: infer Kind
    readonly input: infer Input extends DescMessage
    readonly output: infer Output extends DescMessage
  }
    ? Kind extends 'unary'
      ? (request: MessageShape<Input>, call: Call) => Promise<MessageInitShape<Output>>
      : (request: MessageShape<Input>, call: Call) => AsyncIterable<MessageInitShape<Output>>
    : never
}
