import * as fc from 'fast-check'

const key = fc.constantFrom('a', 'a/', 'a/1', 'a/2', 'a/é', 'a/\u{1f600}', 'a/\uff01', 'b', 'b/1')
const prefix = fc.constantFrom('', 'a', 'a/', 'b/', 'c')
/** A revision by its distance from the newest. */
const back = fc.nat({ max: 12 })
const op = fc.oneof(
  { weight: 3, arbitrary: fc.record({ key, text: fc.string({ maxLength: 3 }) }) },
  { weight: 2, arbitrary: fc.record({ key }) },
)
const how = fc.constantFrom('absent' as const, 'exists' as const, 'right' as const, 'wrong' as const)

const txn = fc.record({
  do: fc.constant('txn' as const),
  compare: fc.array(fc.record({ key, how }), { maxLength: 2 }),
  ops: fc.uniqueArray(op, { maxLength: 4, selector: (each) => each.key }),
})
const limit = fc.integer({ min: 1, max: 4 })
const range = fc.record({ do: fc.constant('range' as const), prefix, back, limit })
const watch = fc.record({ do: fc.constant('watch' as const), prefix, back })
const compact = fc.record({ do: fc.constant('compact' as const), back })

/** What may be asked of a store, on few keys so that they meet. */
export const steps = fc.array(
  fc.oneof(
    { weight: 6, arbitrary: txn },
    { weight: 3, arbitrary: range },
    { weight: 2, arbitrary: watch },
    { weight: 1, arbitrary: compact },
  ),
  { minLength: 1, maxLength: 30 },
)
export type Step = typeof steps extends fc.Arbitrary<(infer Each)[]> ? Each : never
