import type { DescMessage, DescService, MessageInitShape, MessageShape } from '@bufbuild/protobuf'

/** What a method knows about its caller. */
export interface Call {
  readonly project: string
  readonly requestId: string
  /** Aborts when the client goes away, its deadline passes, or the server closes. */
  readonly signal: AbortSignal
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
