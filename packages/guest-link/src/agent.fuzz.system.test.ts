import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { encodeFrame, FieldsWriter, FRAME, type FrameType } from '@cove/frames'
import { command, Host, run } from './conformance/harness.ts'
import { RawHost } from './conformance/raw-host.ts'
import { startAgent } from './testing/agent-process.ts'
import { OPEN, OPERATION, PATH, START } from './wire/tags.ts'

// Operations that a random request cannot make change the files or reach the servers of the test's own machine.
const HARMLESS = [
  OPERATION.attach,
  OPERATION.processes,
  OPERATION.stdin,
  OPERATION.signal,
  OPERATION.resize,
  OPERATION.read,
  OPERATION.stat,
  OPERATION.list,
  OPERATION.watch,
  OPERATION.metrics,
  OPERATION.configure,
  0,
  12_345,
]

const value = fc.oneof(
  fc.uint8Array({ maxLength: 40 }),
  fc.nat(70_000).map((number) => new FieldsWriter().number(0, number).finish().subarray(5)),
  fc.constantFrom('/', '/tmp', '/etc/passwd', '/proc', 'p', 'root', 'user').map((text) => Buffer.from(text)),
)

const open = fc
  .tuple(
    fc.constantFrom(...HARMLESS),
    fc.array(fc.tuple(fc.integer({ min: 2, max: 12 }), value), { maxLength: 8 }),
    fc.nat(),
  )
  .map(([operation, pairs, window]) => {
    const fields = new FieldsWriter().number(OPEN.operation, operation).number(OPEN.window, window)
    for (const [tag, bytes] of pairs) fields.bytes(tag, bytes)
    return Buffer.from(fields.finish())
  })

type Step =
  | { readonly type: FrameType; readonly channel: number; readonly payload: Uint8Array }
  | { readonly raw: Uint8Array }

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 10,
    arbitrary: fc.record({ type: fc.constant(FRAME.open), channel: fc.integer({ min: 1, max: 40 }), payload: open }),
  },
  {
    weight: 10,
    arbitrary: fc.record({
      type: fc.constantFrom<FrameType>(FRAME.data, FRAME.end, FRAME.credit, FRAME.close, FRAME.ping, FRAME.pad),
      channel: fc.nat(40),
      payload: fc.oneof(
        fc.constant(new Uint8Array(0)),
        fc.uint8Array({ minLength: 4, maxLength: 4 }),
        fc.uint8Array({ maxLength: 70 }),
      ),
    }),
  },
  { weight: 1, arbitrary: fc.record({ raw: fc.uint8Array({ maxLength: 60 }) }) },
)

describe.each([
  ['a socket', false],
  ['a single stream', true],
])('the agent on %s', (_name, singleStream) => {
  it('survives hosts that have gone mad', { timeout: 60_000 }, async () => {
    await using host = new Host(await startAgent(singleStream))
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), fc.boolean(), async (steps, greet) => {
        const raw = new RawHost(await host.connect())
        if (greet) {
          raw.hello({ epoch: host.nextEpoch(), token: host.token })
          raw.open(1, OPERATION.start, (fields) =>
            fields.text(START.id, 'p').text(START.argv, '/bin/cat').truth(START.stdin, true).text(PATH.user, 'root'),
          )
        }
        for (const one of steps)
          raw.stream.write('raw' in one ? one.raw : encodeFrame(one.type, one.channel, one.payload))
        await raw.settle()
        raw.stream.destroy()
        const link = await host.open()
        const ran = await run(link, command(host.harness, ['echo', 'sane']))
        await link.close()
        expect(ran.stdout.toString()).toBe('sane\n')
      }),
      { numRuns: 100 },
    )
  })
})
