#!/usr/bin/env node
/**
 * Speaks Firecracker's API with real files behind it, and pretends to run a machine. For tests: there is no wall around
 * what runs in it. `--plan FILE` is its own argument, all others are Firecracker's.
 */
import { rmSync } from 'node:fs'
import { appendFile } from 'node:fs/promises'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { parseArgs } from 'node:util'
import { callOf, factsOf, type CallName } from '../api-contract.ts'
import { problemOf } from '../api-rules.ts'
import { SHAPES } from '../api-shapes.ts'
import { readPlan } from './plan.ts'
import { Refused } from './refused.ts'
import { local } from './stand-in-checks.ts'
import { StandInVmm, STAND_IN_VERSION } from './stand-in-vmm.ts'

const text = { type: 'string' } as const
const { values: flags } = parseArgs({
  options: {
    plan: text,
    version: { type: 'boolean' },
    'api-sock': text,
    id: text,
    'log-path': text,
    level: text,
    'http-api-max-payload-size': text,
    'start-time-us': text,
    'start-time-cpu-us': text,
    'parent-cpu-time-us': text,
    'boot-timer': { type: 'boolean' },
  },
})
const DEFAULT_SOCKET = '/run/firecracker.socket'
const MAX_BODY_BYTES = Number(flags['http-api-max-payload-size'] ?? 51_200)

if (flags.version === true) {
  process.stdout.write(`Firecracker v${STAND_IN_VERSION}\n`)
  process.exit(0)
}
const planPath = flags.plan ?? ''
const { failures } = await readPlan(planPath)
if (failures?.exitAtStart !== undefined) {
  process.stderr.write('the stand-in was asked to end\n')
  process.exit(failures.exitAtStart)
}

const vmm = new StandInVmm(flags.id ?? 'anonymous-instance', planPath)
const socketPath = local(flags['api-sock'] ?? DEFAULT_SOCKET)
/** One after the other, as in Firecracker. */
let turn: Promise<void> = Promise.resolve()
const server = createServer((request, response) => {
  turn = turn
    .then(() => serve(request, response))
    .catch((error: unknown) => {
      process.stderr.write(`stand-in: ${String(error)}\n`)
      response.destroy()
    })
})
server.listen(socketPath)
// What is in a machine ends with it, as it would with its memory; the socket stays, as Firecracker leaves it.
for (const name of ['SIGTERM', 'SIGINT'] as const) {
  process.once(name, () => {
    void vmm.close().finally(() => process.exit(0))
  })
}
process.once('exit', () => {
  if (process.env['STAND_IN_JAIL'] === undefined) rmSync(socketPath, { force: true })
})

async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const call = callOf(request.method ?? '', request.url ?? '')
  const said = await bodyOf(request)
  const { calls } = await readPlan(planPath)
  if (calls !== undefined)
    await appendFile(calls, `${JSON.stringify({ call: call?.name ?? request.url, body: said })}\n`)
  if (await fail(call?.name, response)) return
  try {
    if (call === undefined) throw new Refused(`Invalid request method and/or path: ${request.method} ${request.url}.`)
    const refused = (await readPlan(planPath)).failures?.refuse?.[call.name]
    if (refused !== undefined) throw new Refused(refused)
    send(call.name, response, await vmm.handle(call.name, call.id, said))
  } catch (error) {
    if (!(error instanceof Refused)) process.stderr.write(`stand-in: ${String(error)}\n`)
    const sentence = error instanceof Error ? error.message : String(error)
    const answer = JSON.stringify({ fault_message: sentence })
    response.writeHead(400, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(answer) })
    response.end(answer)
  }
}

function send(name: CallName, response: ServerResponse, value: unknown): void {
  const { answer: shape } = factsOf(name)
  if (shape === undefined) {
    response.writeHead(204).end()
    return
  }
  const problem = problemOf(SHAPES[shape], value, 'the answer')
  if (problem !== undefined) throw new Error(`the stand-in says what Firecracker never would: ${name}: ${problem}`)
  const answer = JSON.stringify(value)
  response.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(answer) })
  response.end(answer)
}

async function bodyOf(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size <= MAX_BODY_BYTES) chunks.push(chunk)
  }
  if (size > MAX_BODY_BYTES) return new Error('Request payload is too large')
  if (size === 0) return undefined
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8'))
  } catch {
    // No shape lets that through.
    return Number.NaN
  }
}

/** Carries out what the plan says is to go wrong. */
async function fail(name: CallName | undefined, response: ServerResponse): Promise<boolean> {
  const { failures: now = {} } = await readPlan(planPath)
  if (name === undefined) return false
  // The first process of a namespace cannot kill itself.
  if (now.dieAt === name) process.exit(1)
  if (now.hangAt === name) return true
  if (now.garbageAt === name) {
    response.socket?.end('\u0000\u0001 this is no HTTP\r\n\r\n')
    return true
  }
  if (now.dieWithin === name) {
    response.writeHead(200, { 'content-length': 100 })
    response.write('{"half":', () => process.exit(1))
    return true
  }
  return false
}
