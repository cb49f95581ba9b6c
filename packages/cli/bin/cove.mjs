#!/usr/bin/env node
// Plain JavaScript, because it runs before anything else: compiled code, types stripped, is kept from one call to the
// next, which takes two thirds off the start. The cache is the user's own, so that nobody else can put code into it.
import { chmodSync, mkdirSync } from 'node:fs'
import module from 'node:module'
import { homedir } from 'node:os'
import { isAbsolute, join } from 'node:path'

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
if (major < 22 || (major === 22 && minor < 18)) {
  process.stderr.write(`error: Cove needs Node.js 22.18 or later, and this is ${process.versions.node}\n`)
  process.stderr.write('fix: install Node.js 24, for example from https://nodejs.org\n')
  process.exit(1)
}

if (major < 24) {
  // What this version still calls experimental, SQLite, is no news to a user.
  process.removeAllListeners('warning')
  process.on('warning', ({ name, message }) => {
    if (name !== 'ExperimentalWarning') process.stderr.write(`${name}: ${message}\n`)
  })
}

const base = process.env.XDG_CACHE_HOME
const cache = join(base !== undefined && isAbsolute(base) ? base : join(homedir(), '.cache'), 'cove', 'compiled')
try {
  mkdirSync(cache, { recursive: true, mode: 0o700 })
  chmodSync(cache, 0o700)
  module.enableCompileCache(cache)
} catch {
  // Slower without, and nothing else.
}
const { start } = await import('../src/start.ts')
await start()
