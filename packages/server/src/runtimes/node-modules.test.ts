import { expect, it } from 'vitest'
import { findsModules, mayBeModule } from './node-modules.ts'

it.each([
  'import fs from "fs"',
  '#!/usr/bin/env node\n  import{a}from "b"',
  'import "side-effect"',
  "import * as all from 'all'",
  'import one, { two } from "both"',
  'export default 1',
  'export { a }',
  'const a = 1\nexport const b = a',
  'export async function go() {}',
  'const { a } = await go()',
  'await go()',
])('may be an ES module: %s', (code) => {
  expect(mayBeModule(code)).toBe(true)
})

it.each([
  'const fs = require("fs")',
  'import("fs").then(console.log)',
  'exports.a = 1',
  'const important = 1\nimportant.from = 2',
  '// import x from "y"',
  'async () => {\n  await go()\n}',
  'const awaited = 1',
  '',
])('is none: %s', (code) => {
  expect(mayBeModule(code)).toBe(false)
})

it('knows which versions look for themselves', () => {
  expect(['v18.19.0', 'v20.18.1', 'v21.7.0', 'v22.6.0'].map(findsModules)).toEqual([false, false, false, false])
  expect(['v20.19.0', 'v22.7.0', 'v24.1.0\n', 'something else'].map(findsModules)).toEqual([true, true, true, true])
})
