import { expect, it } from 'vitest'
import { readUsageError } from './usage.ts'

it.each([
  ["error: unknown command 'runn'\n(Did you mean run?)", [], "unknown command 'runn'", 'Did you mean run?'],
  ["error: missing required argument 'port'", ['ports', 'share'], 'missing', 'See `cove ports share --help`.'],
  [
    "error: option '--network <kind>' argument 'internt' is invalid. Allowed choices are none, internet.",
    ['create'],
    "'internt' is invalid",
    'Did you mean internet?',
  ],
  [
    "error: option '--network <kind>' argument 'everything' is invalid. Allowed choices are none, internet.",
    ['create'],
    "'everything' is invalid",
    'See `cove create --help`.',
  ],
  [
    "error: command-argument value '0' is invalid for argument 'port'. It must be.",
    ['x'],
    "value '0' is",
    'See `cove x',
  ],
])('reads %j as cause and remedy', (text, path, message, fix) => {
  const read = readUsageError(text, path)
  expect(read.message).toContain(message)
  expect(read.message).not.toMatch(/^error|^command-argument/)
  expect(read.fix).toContain(fix)
})
