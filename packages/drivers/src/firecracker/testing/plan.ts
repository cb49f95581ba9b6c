import { readFile } from 'node:fs/promises'
import type { CallName } from '../api-contract.ts'

/** What a stand-in is to do wrong. Read again for every request, so that a story can change it. */
export interface Failures {
  /** Answered with 400 and this sentence. */
  readonly refuse?: Partial<Record<CallName, string>>
  /** The process ends before it answers. */
  readonly dieAt?: CallName
  /** Half of an answer is sent, then the process ends. */
  readonly dieWithin?: CallName
  /** Never answered. */
  readonly hangAt?: CallName
  /** Answered with bytes that are no HTTP. */
  readonly garbageAt?: CallName
  /** Ends with this code before it listens. */
  readonly exitAtStart?: number
  /** The guest never comes up, as with a kernel that does not boot. */
  readonly deafGuest?: boolean
  /** The guest's kernel panics instead of starting the agent. */
  readonly panic?: boolean
  /** What the vsock socket answers instead of `OK`. */
  readonly vsockSays?: string
}

/** What a stand-in is started with beside Firecracker's own arguments. */
export interface Plan {
  /** Path of the guest agent's program. */
  readonly agent: string
  /** Folder for what guests write; it outlives the stand-in. */
  readonly homes: string
  /** File that every call is added to, one line of JSON each. */
  readonly calls?: string
  readonly failures?: Failures
}

export async function readPlan(path: string): Promise<Plan> {
  return JSON.parse(await readFile(path, 'utf8')) as Plan
}
