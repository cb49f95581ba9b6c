import { CoveError } from '@cove/domain'
import { expect, it } from 'vitest'
import { explainFor } from './explain.ts'

const refused = (context = {}, fix?: string): CoveError =>
  new CoveError('unauthenticated', 'not without a login', context, fix === undefined ? {} : { fix })
const invalid = (field: string, fix?: string): CoveError =>
  new CoveError('invalid-argument', 'not so', { field }, fix === undefined ? {} : { fix })

it('leaves the login that a registry asks for as it is, here and in a context', () => {
  const error = refused({ registry: 'r.example' }, 'Log in with `docker login r.example`.')
  expect(explainFor({}, {})(error).fix).toContain('docker login r.example')
  expect(explainFor({ context: 'lab', url: 'http://lab' }, {})(error).fix).toContain('docker login r.example')
})

it('tells where a key of Cove comes from', () => {
  expect(explainFor({}, {})(refused()).fix).toContain('Set COVE_API_KEY')
  expect(explainFor({}, { COVE_API_KEY: 'x' })(refused()).fix).toContain('COVE_API_KEY is no key of this Cove')
  expect(explainFor({ context: 'lab', url: 'http://lab' }, {})(refused()).fix).toContain('cove context add lab')
})

it('names the option of a field, unless the error says more itself', () => {
  expect(explainFor({}, {})(invalid('volumes')).fix).toBe('Correct --volume.')
  expect(explainFor({}, {})(invalid('name', 'Say which one by its name.')).fix).toBe('Say which one by its name.')
  expect(explainFor({}, {})(invalid('elsewhere')).fix).toContain('the named field')
})
